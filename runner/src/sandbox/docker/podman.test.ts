import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sandboxConformance } from "../conformance.ts";
import { startTestGuard } from "../../guard/test-guard.fixture.ts";
import { DEFAULT_IMAGE, type DockerOptionsInput } from "./docker-options.ts";
import { DockerProvider } from "./docker-provider.ts";
import { pause } from "./engine.ts";

const START_TIMEOUT_MS = 180_000;
const POLL_MS = 100;
const MIB = 1024 ** 2;
const folder = join(tmpdir(), `shipfox-podman-${process.pid}`);
const socketPath = join(folder, "podman.sock");
const podman = new Docker({ socketPath });

/** Two limits and a runtime with which Podman also starts on machines where it may not raise limits. */
const CONTAINERS_CONF = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
`;
const STORAGE_CONF = `[storage]
driver = "overlay"
graphroot = "${folder}/storage"
runroot = "${folder}/run"
`;

function isInstalled(): boolean {
  try {
    execFileSync("podman", ["--version"], { stdio: "ignore" });
    return process.getuid?.() === 0;
  } catch {
    return false;
  }
}

const guard = await startTestGuard();

afterAll(async () => {
  await guard.close();
});

const input: DockerOptionsInput = {
  lifelines: guard,
  runnerId: `podman-${process.pid}`,
  workRoot: join(folder, "work"),
  logger: pino({ level: "silent" }),
  dockerHost: `unix://${socketPath}`,
  exec: "plain",
  poolSize: 0,
  limits: { memoryBytes: 512 * MIB, pids: 200 },
};

describe.runIf(isInstalled())("[podman] Podman's compatible socket", () => {
  let service: ChildProcess;

  beforeAll(async () => {
    await mkdir(folder, { mode: 0o700 });
    await writeFile(join(folder, "containers.conf"), CONTAINERS_CONF);
    await writeFile(join(folder, "storage.conf"), STORAGE_CONF);
    const env = {
      ...process.env,
      CONTAINERS_CONF: join(folder, "containers.conf"),
      CONTAINERS_STORAGE_CONF: join(folder, "storage.conf"),
    };
    const load = `docker save ${DEFAULT_IMAGE} | podman load --quiet`;
    execFileSync("sh", ["-c", load], { env, stdio: "ignore", timeout: START_TIMEOUT_MS });
    service = spawn("podman", ["system", "service", "--time", "0", `unix://${socketPath}`], { env, stdio: "ignore" });
    while (!(await podman.ping().catch(() => null))) await pause(POLL_MS);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    service.kill();
    await once(service, "exit");
    execFileSync("sh", ["-c", `umount ${folder}/storage/overlay 2>/dev/null || :`]);
    // What the service had started may still be writing there when it is gone.
    await rm(folder, { recursive: true, force: true, maxRetries: 10 });
  }, START_TIMEOUT_MS);

  sandboxConformance("[podman] docker sandbox on Podman, plain exec", {
    makeProvider: async () => {
      const provider = new DockerProvider(input);
      await provider.prepare();
      return provider;
    },
    leftovers: async () => {
      const label = [`shipfox.runner=${input.runnerId}`];
      const containers = await podman.listContainers({ all: true, filters: { label } });
      const networks = await podman.listNetworks({ filters: { label } });
      const folders = await readdir(join(input.workRoot, "places"));
      return [...containers.map(({ Id }) => Id), ...networks.map(({ Name }) => Name), ...folders];
    },
    catchesEscapees: true,
    endsOutputWithShell: true,
  });

  it("takes no jobs with services", async () => {
    const provider = new DockerProvider({ ...input, runnerId: `${input.runnerId}-2` });
    await provider.prepare();
    expect(provider.capabilities).toMatchObject({ image: true, services: false });
    await provider.close();
  });
});
