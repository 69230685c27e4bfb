import { once } from "node:events";
import { chmod } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Stage } from "../stage.ts";
import { type Boot, Machine, type MachineOrder } from "./machine.ts";

const COMMAND = fileURLToPath(new URL("provider-command.sh", import.meta.url));
/** As in the contract of the `command` driver. */
const EXIT_CODES = { ok: 0, throttled: 10, no_capacity: 11, quota: 12, refused: 13, unavailable: 14 } as const;

/** How the provider behaves when it is asked for something. */
export interface Verdict {
  readonly exit: keyof typeof EXIT_CODES;
  readonly message?: string;
  /** The machine is made, or deleted, although the answer says otherwise. */
  readonly isDone?: boolean;
  /** Milliseconds until it is done, whether the asker still waits or not. */
  readonly beforeMs?: number;
  /** Milliseconds from then to the answer. */
  readonly afterMs?: number;
}

export interface ListVerdict extends Verdict {
  /** Machines that are there and not in the list, which says all the same that it is whole. */
  readonly hides?: (machine: Machine) => boolean;
}

const ID_DIGITS = 6;

const WELL: Verdict = { exit: "ok" };

interface Reply {
  readonly exitCode: number;
  readonly output: string;
}

interface Question extends MachineOrder {
  readonly provider_id?: string;
  readonly controller: string;
  readonly pool: string;
}

/**
 * A provider of machines that the test holds, asked by the daemon through the `command` driver. Its machines are real runners. It
 * misbehaves as `onCreate`, `onList`, `onDelete` and `bootAs` say.
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
  onList: () => ListVerdict = () => WELL;
  onDelete: (machine: Machine) => Verdict = () => WELL;
  bootAs: (order: MachineOrder) => Boot = () => "runner";
  /** All that its machines and its command run has this path in it. */
  readonly folder: string;
  readonly #socketPath: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.#socketPath = join(folder, "provider.sock");
  }

  static async start(stage: Stage): Promise<MachineProvider> {
    const folder = await stage.folder("machines");
    // The user of the steps passes through it.
    await chmod(folder, 0o711);
    const provider = new MachineProvider(folder);
    const server = createServer((request, response) => void provider.#serve(request, response));
    server.listen(provider.#socketPath);
    await once(server, "listening");
    stage.onEnd(async () => {
      server.close();
      server.closeAllConnections();
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

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = await text(request).catch(() => "");
    // Its asker was killed before it had said what it wanted.
    if (asked === "") return void response.destroy();
    const question = JSON.parse(asked) as Question;
    const { exitCode, output } = await this.#answer(request.url?.slice(1) ?? "", question);
    response.end(`${exitCode}\n${output}`);
  }

  async #answer(operation: string, question: Question): Promise<Reply> {
    switch (operation) {
      case "check":
        return reply(WELL, { problems: [] });
      case "create":
        return await this.#create(question);
      case "list":
        return await this.#list(question);
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
    await pause(verdict.beforeMs);
    if (verdict.exit !== "ok" && !verdict.isDone) return reply(verdict, {});
    const machine = this.#add(order);
    await machine.boot(this.bootAs(order));
    await pause(verdict.afterMs);
    return reply(verdict, { provider_id: machine.providerId, may_have_happened: true });
  }

  async #list({ provider_id: id, controller, pool }: Question): Promise<Reply> {
    const { hides = () => false, ...verdict } = this.onList();
    await pause(verdict.beforeMs);
    const all = [...this.machines.values()];
    const asked = (machine: Machine) =>
      id === undefined ? isOf(machine, { controller, pool }) : machine.providerId === id;
    const strangers = [...this.strangers].map(([provider_id, tags]) => ({ provider_id, tags, state: "stopped" }));
    if (id === undefined) this.lists += 1;
    const found = all.filter((machine) => asked(machine) && !hides(machine));
    const answer = whole(found, id === undefined ? strangers : []);
    await pause(verdict.afterMs);
    return reply(verdict, answer);
  }

  async #delete(id: string): Promise<Reply> {
    this.deletions.push(id);
    const machine = this.machines.get(id);
    if (!machine) return reply(WELL, {});
    const verdict = this.onDelete(machine);
    await pause(verdict.beforeMs);
    if (verdict.exit !== "ok" && !verdict.isDone) return reply(verdict, {});
    machine.deletedAt ??= Date.now();
    machine.wasBusyWhenDeleted ||= await machine.isBusy();
    await this.#remove(machine);
    await pause(verdict.afterMs);
    return reply(verdict, {});
  }

  /** Takes a machine away without an order, as a provider does whose host broke: no list has it any more. */
  async lose(machine: Machine): Promise<void> {
    machine.lostAt ??= Date.now();
    await this.#remove(machine);
  }

  async #remove(machine: Machine): Promise<void> {
    await machine.remove();
    this.machines.delete(machine.providerId);
  }

  #add(order: MachineOrder): Machine {
    // None is the beginning of another: what a machine runs is found by the path of its folder.
    const id = `m-${String(this.history.length + 1).padStart(ID_DIGITS, "0")}`;
    const machine = new Machine(id, order, join(this.folder, id));
    this.machines.set(id, machine);
    this.history.push(machine);
    return machine;
  }
}

/** Nobody who is still asked at the end of a test holds it up. */
async function pause(ms = 0): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { ref: false });
}

function isOf({ order: { tags } }: Machine, owner: { readonly controller: string; readonly pool: string }): boolean {
  return tags.controller === owner.controller && tags.pool === owner.pool;
}

function whole(machines: readonly Machine[], strangers: readonly object[]) {
  const listed = machines.map(({ providerId, order, state }) => ({
    provider_id: providerId,
    tags: order.tags,
    state,
  }));
  return { complete: true, machines: [...listed, ...strangers] };
}

function reply({ exit, message = "" }: Verdict, output: object): Reply {
  return {
    exitCode: EXIT_CODES[exit],
    output: JSON.stringify({ ...output, ...(message ? { message } : {}) }),
  };
}
