import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type Docker from "dockerode";
import { execa } from "execa";

const RUNNER_IMAGE_SCRIPT = fileURLToPath(import.meta.resolve("../../../scripts/runner-image"));
const IMAGE_TIMEOUT_MS = 300_000;
const FIRST_BYTE_TIMEOUT_MS = 60_000;
const LABEL = "shipfox.bench";
const MIB = 1024 ** 2;

/** What each machine has, ours and bare ones. */
export const MACHINE = { cpus: 1, memoryMib: 512, pids: 256 } as const;

/** Of this checkout; built when something of it has changed. */
export async function runnerImage(): Promise<string> {
  return (await execa(RUNNER_IMAGE_SCRIPT, { timeout: IMAGE_TIMEOUT_MS })).stdout.trim();
}

/** A network of this run for the machines, with the containers that are on it. All of it goes with `resources`. */
export class RunnerContainers {
  readonly network: string;
  readonly subnet: string;
  /** An address of the host that the machines reach. */
  readonly gateway: string;
  readonly #docker: Docker;
  readonly #image: string;
  readonly #runId: string;

  constructor(docker: Docker, image: string, resources: AsyncDisposableStack) {
    this.#docker = docker;
    this.#image = image;
    const id = randomBytes(4);
    this.#runId = id.toString("hex");
    this.network = `shipfox-bench-${this.#runId}`;
    this.subnet = `10.218.${id[0]}.0/24`;
    this.gateway = `10.218.${id[0]}.1`;
    resources.defer(() => this.#removeAll());
  }

  /** Ids of those of the provisioner, whatever their state. */
  async ours(): Promise<string[]> {
    const all = await this.#docker.listContainers({ all: true, filters: { network: [this.network] } });
    return all.filter(({ Labels }) => Labels[LABEL] === undefined).map(({ Id }) => Id);
  }

  /**
   * The same container bare: created, started, and its runner asked for its version. Milliseconds to its first byte of output and to
   * the end of its removal.
   */
  async bare(): Promise<{ firstByte: number; removed: number }> {
    const startedAt = performance.now();
    const memory = MACHINE.memoryMib * MIB;
    const container = await this.#docker.createContainer({
      Image: this.#image,
      Cmd: ["--version"],
      User: "0:0",
      Labels: { [LABEL]: this.#runId },
      AttachStdout: true,
      AttachStderr: true,
      HostConfig: {
        Init: true,
        NetworkMode: this.network,
        Memory: memory,
        MemorySwap: memory,
        NanoCpus: MACHINE.cpus * 1e9,
        PidsLimit: MACHINE.pids,
      },
    });
    try {
      const output = (await container.attach({ stream: true, stdout: true, stderr: true })) as unknown as Readable;
      await container.start();
      await once(output, "data", { signal: AbortSignal.timeout(FIRST_BYTE_TIMEOUT_MS) });
      output.resume();
      const firstByte = performance.now() - startedAt;
      await container.wait();
      await container.remove({ force: true, v: true });
      return { firstByte, removed: performance.now() - startedAt };
    } catch (error) {
      await container.remove({ force: true, v: true });
      throw error;
    }
  }

  async #removeAll(): Promise<void> {
    const filters = { network: [this.network] };
    const left = await this.#docker.listContainers({ all: true, filters });
    await Promise.all(left.map(({ Id }) => this.#docker.getContainer(Id).remove({ force: true, v: true })));
    for (const { Id } of await this.#docker.listNetworks({ filters: { name: [this.network] } }))
      await this.#docker.getNetwork(Id).remove();
  }
}

/** Counts the machines that run at once, as the engine tells of their starts and ends. */
export class PeakOfContainers {
  readonly #running = new Set<string>();
  #peak = 0;

  static async watch(docker: Docker, image: string, resources: AsyncDisposableStack): Promise<PeakOfContainers> {
    const peak = new PeakOfContainers();
    const filters = { type: ["container" as const], image: [image] };
    const stream = (await docker.getEvents({ filters })) as Readable;
    resources.defer(() => void stream.destroy());
    stream.on("error", () => {});
    createInterface({ input: stream }).on("line", (line) =>
      peak.#note(JSON.parse(line) as { Action: string; id: string }),
    );
    return peak;
  }

  /** The most since the last call. */
  take(): number {
    const most = this.#peak;
    this.#peak = this.#running.size;
    return most;
  }

  #note({ Action: action, id }: { Action: string; id: string }): void {
    if (action === "start") this.#running.add(id);
    if (action === "die") this.#running.delete(id);
    this.#peak = Math.max(this.#peak, this.#running.size);
  }
}
