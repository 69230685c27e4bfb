import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Stage } from "../stage.ts";
import { type Boot, Machine, type MachineOrder } from "./machine.ts";

const COMMAND = fileURLToPath(new URL("provider-command.ts", import.meta.url));
/** As in the contract of the `command` driver. */
const EXIT_CODES = { ok: 0, throttled: 10, no_capacity: 11, quota: 12, refused: 13, unavailable: 14 } as const;

/** How the provider behaves when it is asked for a machine. */
export interface Verdict {
  readonly exit: keyof typeof EXIT_CODES;
  readonly message?: string;
  /** The machine is made although the answer says otherwise. */
  readonly isMade?: boolean;
}

const WELL: Verdict = { exit: "ok" };

interface Reply {
  readonly exitCode: number;
  readonly output: string;
  readonly message: string;
}

interface Question extends MachineOrder {
  readonly provider_id?: string;
  readonly controller: string;
  readonly pool: string;
}

/**
 * A provider of machines that the test holds, asked by the daemon through the `command` driver. Its machines are real runners. It
 * misbehaves as `onCreate`, `onList` and `bootAs` say.
 */
export class MachineProvider {
  readonly machines = new Map<string, Machine>();
  /** Machines of others, which it lists to everybody: their tags by id. */
  readonly strangers = new Map<string, Partial<MachineOrder["tags"]>>();
  /** The ids of all that it was told to delete. */
  readonly deletions: string[] = [];
  /** Every machine there ever was. */
  readonly history: Machine[] = [];
  /** The keys of the templates for which machines were asked, in order. */
  readonly orders: string[] = [];
  lists = 0;
  onCreate: (order: MachineOrder) => Verdict = () => WELL;
  onList: () => Verdict & { readonly isEmpty?: boolean } = () => WELL;
  bootAs: (order: MachineOrder) => Boot = () => "runner";
  readonly #folder: string;
  readonly #socketPath: string;
  readonly #sockets = new Set<Socket>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#socketPath = join(folder, "provider.sock");
  }

  static async start(stage: Stage): Promise<MachineProvider> {
    const folder = await stage.folder("machines");
    // The user of the steps passes through it.
    await chmod(folder, 0o711);
    const provider = new MachineProvider(folder);
    const server = createServer({ allowHalfOpen: true }, (socket) => void provider.#serve(socket));
    server.listen(provider.#socketPath);
    await once(server, "listening");
    stage.onEnd(async () => {
      for (const socket of provider.#sockets) socket.destroy();
      server.close();
      await once(server, "close");
      await Promise.all([...provider.machines.values()].map((machine) => machine.remove()));
    });
    return provider;
  }

  /** The `provider` section of a templates file. */
  get section(): string {
    return JSON.stringify({
      kind: "command",
      command: [COMMAND, this.#socketPath],
      pass_env: ["PATH"],
      time_limit: "10s",
    });
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => undefined);
    const { operation, input } = JSON.parse(await text(socket)) as { operation: string; input: string };
    socket.end(JSON.stringify(await this.#answer(operation, JSON.parse(input) as Question)));
  }

  async #answer(operation: string, question: Question): Promise<Reply> {
    switch (operation) {
      case "check":
        return reply(WELL, { problems: [] });
      case "create":
        return await this.#create(question);
      case "list":
        return this.#list(question);
      case "delete":
        return await this.#delete(question.provider_id ?? "");
      default:
        return reply(WELL, { console: (await this.machines.get(question.provider_id ?? "")?.console()) ?? null });
    }
  }

  async #create(order: MachineOrder): Promise<Reply> {
    const former = [...this.machines.values()].find(({ order: { tags } }) => tags.instance === order.tags.instance);
    if (former) return reply(WELL, { provider_id: former.providerId });
    this.orders.push(order.template_key);
    const verdict = this.onCreate(order);
    if (verdict.exit !== "ok" && !verdict.isMade) return reply(verdict, {});
    const machine = this.#add(order);
    await machine.boot(this.bootAs(order));
    return reply(verdict, { provider_id: machine.providerId, may_have_happened: true });
  }

  #list({ provider_id: id, controller, pool }: Question): Reply {
    const all = [...this.machines.values()];
    if (id !== undefined) return reply(WELL, whole(all.filter(({ providerId }) => providerId === id)));
    this.lists += 1;
    const { isEmpty = false, ...verdict } = this.onList();
    const ours = all.filter(({ order: { tags } }) => tags.controller === controller && tags.pool === pool);
    const strangers = [...this.strangers].map(([id, tags]) => ({ provider_id: id, tags, state: "stopped" }));
    return reply(verdict, whole(isEmpty ? [] : ours, strangers));
  }

  async #delete(id: string): Promise<Reply> {
    this.deletions.push(id);
    const machine = this.machines.get(id);
    if (machine) {
      machine.wasBusyWhenDeleted = await machine.isBusy();
      await machine.remove();
      this.machines.delete(id);
    }
    return reply(WELL, {});
  }

  #add(order: MachineOrder): Machine {
    const id = `m-${this.history.length + 1}`;
    const machine = new Machine(id, order, join(this.#folder, id));
    this.machines.set(id, machine);
    this.history.push(machine);
    return machine;
  }
}

function whole(machines: readonly Machine[], strangers: readonly object[] = []) {
  const listed = machines.map(({ providerId, order, isRunning }) => ({
    provider_id: providerId,
    tags: order.tags,
    state: isRunning ? "running" : "stopped",
  }));
  return { complete: true, machines: [...listed, ...strangers] };
}

function reply({ exit, message = "" }: Verdict, output: object): Reply {
  return {
    exitCode: EXIT_CODES[exit],
    output: JSON.stringify({ ...output, ...(message ? { message } : {}) }),
    message,
  };
}
