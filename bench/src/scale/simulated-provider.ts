import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import type { JsonClient } from "../json-client.ts";
import { SimulatedMachine } from "./simulated-machine.ts";

/** The operation is the program's last argument; it answers on standard output. */
const PROGRAM = (socketPath: string) => `#!/bin/sh
exec curl --silent --fail --max-time 30 --unix-socket '${socketPath}' --data-binary @- "http://provider/$1"
`;

interface Question {
  readonly tags: { readonly instance: string };
  readonly registration_token: string;
  readonly provider_id?: string;
}

/** A provider whose machines are objects of this process, asked by the provisioner through its `command` driver. */
export class SimulatedProvider {
  readonly machines = new Map<string, SimulatedMachine>();
  /** Machines that there ever were. */
  created = 0;
  /** Of them those that were taken away before they had a job. */
  unused = 0;
  /** What went wrong with machines that had a job. */
  readonly faults: string[] = [];
  readonly program: string;
  readonly #client: JsonClient;
  readonly #onJobDone: () => void;

  private constructor(program: string, client: JsonClient, onJobDone: () => void) {
    this.program = program;
    this.#client = client;
    this.#onJobDone = onJobDone;
  }

  static async start(
    folder: string,
    client: JsonClient,
    onJobDone: () => void,
    resources: AsyncDisposableStack,
  ): Promise<SimulatedProvider> {
    const socketPath = join(folder, "provider.sock");
    const program = join(folder, "provider");
    await writeFile(program, PROGRAM(socketPath));
    await chmod(program, 0o755);
    const provider = new SimulatedProvider(program, client, onJobDone);
    const server = createServer((request, response) => {
      provider.#answer(request).then(
        (answer) => response.end(JSON.stringify(answer)),
        (error: Error) => response.writeHead(500).end(error.message),
      );
    });
    server.listen(socketPath);
    await once(server, "listening");
    resources.defer(() => {
      for (const machine of provider.machines.values()) machine.remove();
      server.closeAllConnections();
      server.close();
    });
    return provider;
  }

  async #answer(request: IncomingMessage): Promise<object> {
    const question = (await json(request)) as Question;
    switch (request.url ?? "") {
      case "/check":
        return { problems: [] };
      case "/create":
        return { provider_id: this.#create(question) };
      case "/list":
        return { complete: true, machines: this.#list(question.provider_id) };
      case "/delete":
        this.#delete(question.provider_id ?? "");
        return {};
      default:
        return { console: null };
    }
  }

  #create({ tags, registration_token: token }: Question): string {
    const id = `machine-${tags.instance}`;
    if (this.machines.has(id)) return id;
    this.created += 1;
    const machine = new SimulatedMachine(this.#client, token, tags, this.created);
    this.machines.set(id, machine);
    void machine.run(this.#onJobDone);
    return id;
  }

  #list(id: string | undefined): object[] {
    const wanted = [...this.machines].filter(([key]) => id === undefined || key === id);
    return wanted.map(([key, { tags, hasStopped }]) => ({
      provider_id: key,
      tags,
      state: hasStopped ? "stopped" : "running",
    }));
  }

  #delete(id: string): void {
    const machine = this.machines.get(id);
    if (!machine) return;
    if (machine.phase === "starting" || machine.phase === "idle") this.unused += 1;
    if (machine.phase === "busy") this.faults.push(`${id} was taken away with its job`);
    if (machine.fault) this.faults.push(`${id}: ${machine.fault.message}`);
    machine.remove();
    this.machines.delete(id);
  }
}
