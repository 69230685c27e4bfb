import { mkdir, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { pino } from "pino";
import { afterAll, beforeAll } from "vitest";
import { startTestGuard } from "../../guard/test-guard.fixture.ts";
import type { Sandbox, SandboxJob } from "../sandbox.ts";
import type { DockerOptionsInput } from "./docker-options.ts";
import { DockerProvider } from "./docker-provider.ts";

const MIB = 1024 ** 2;
const guard = await startTestGuard();

/** Runners of one test file on the real engine, each with a mark and a folder of its own. */
export class Testbed {
  readonly docker = new Docker({ socketPath: "/var/run/docker.sock" });
  readonly folder: string;
  readonly #name: string;
  #runners = 0;

  constructor(name: string) {
    this.#name = `${name}-${process.pid}`;
    this.folder = join(tmpdir(), `shipfox-${this.#name}`);
    beforeAll(async () => {
      await mkdir(this.folder, { mode: 0o700 });
    });
    afterAll(async () => {
      await guard.close();
      await rm(this.folder, { recursive: true, force: true });
    });
  }

  options(more: Partial<DockerOptionsInput> = {}): DockerOptionsInput {
    const runnerId = `test-${this.#name}-${++this.#runners}`;
    const logger = pino({ level: "silent" });
    const limits = { memoryBytes: 512 * MIB, pids: 200, ...more.limits };
    return { runnerId, workRoot: join(this.folder, runnerId), logger, lifelines: guard, poolSize: 0, ...more, limits };
  }

  /** A prepared provider, closed when the test has ended, whatever its end; then nothing of it may be left. */
  async withProvider(
    input: DockerOptionsInput,
    use: (provider: DockerProvider, open: (job?: Partial<SandboxJob>) => Promise<Sandbox>) => Promise<void>,
  ): Promise<void> {
    const provider = new DockerProvider(input);
    const opened: Sandbox[] = [];
    try {
      await provider.prepare();
      await use(provider, async (job) => {
        const sandbox = provider.create({ jobId: "job", executionId: "execution", image: null, ...job });
        opened.push(sandbox);
        await sandbox.open();
        return sandbox;
      });
    } finally {
      await Promise.allSettled(opened.map(async (sandbox) => await sandbox.close()));
      await provider.close();
    }
    const left = await this.leftovers(input);
    if (left.length > 0) throw new Error(`Left behind: ${left.join(", ")}`);
  }

  /** The job containers of a runner that run now, as the engine describes them. */
  async jobContainers({ runnerId }: DockerOptionsInput): Promise<Docker.ContainerInspectInfo[]> {
    const label = [`shipfox.runner=${runnerId}`, "shipfox.role=job"];
    const found = await this.docker.listContainers({ filters: { label } });
    return await Promise.all(found.map(async ({ Id }) => await this.docker.getContainer(Id).inspect()));
  }

  async leftovers({ runnerId, workRoot }: DockerOptionsInput): Promise<string[]> {
    const label = [`shipfox.runner=${runnerId}`];
    const containers = await this.docker.listContainers({ all: true, filters: { label } });
    const networks = await this.docker.listNetworks({ filters: { label } });
    const folders = await readdir(join(workRoot, "places")).catch(() => []);
    return [
      ...containers.map(({ Names }) => `container ${Names[0]}`),
      ...networks.map(({ Name }) => `network ${Name}`),
      ...folders,
    ];
  }
}
