import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import Docker from "dockerode";
import { pino } from "pino";
import { pack } from "tar-stream";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startTestGuard } from "../../guard/test-guard.fixture.ts";
import { run, runUntilReady, sandboxConformance } from "../conformance.ts";
import { runnerIsRoot } from "../job-user.ts";
import type { Sandbox } from "../sandbox.ts";
import { SandboxError } from "../sandbox-error.ts";
import { DEFAULT_IMAGE, type DockerOptionsInput } from "./docker-options.ts";
import { DockerProvider } from "./docker-provider.ts";
import { bridgeName } from "../network/firewall.ts";
import { canEnterNamespaces } from "./routes.ts";

const TEST_TIMEOUT_MS = 120_000;
/** Nothing tells when a container that was being started has ended. */
const FOREIGN_RUNNER = `foreign-${process.pid}`;
const NO_BASH_IMAGE = `shipfox-test/no-bash-${process.pid}:1`;

const docker = new Docker({ socketPath: "/var/run/docker.sock" });
const logger = pino({ level: "silent" });
const folder = join(tmpdir(), `shipfox-docker-${process.pid}`);
const entersNamespaces = await canEnterNamespaces();
const guard = await startTestGuard();
let runners = 0;

beforeAll(async () => {
  await mkdir(folder, { mode: 0o700 });
});

afterAll(async () => {
  await guard.close();
  await rm(folder, { recursive: true, force: true });
});

function options(more: Partial<DockerOptionsInput> = {}): DockerOptionsInput {
  const runnerId = `test-${process.pid}-${++runners}`;
  return { runnerId, workRoot: join(folder, runnerId), logger, lifelines: guard, poolSize: 0, limits: LIMITS, ...more };
}

const LIMITS = { memoryBytes: 512 * 1024 * 1024, pids: 200 };

async function prepared(input: DockerOptionsInput): Promise<DockerProvider> {
  const provider = new DockerProvider(input);
  await provider.prepare();
  return provider;
}

async function opened(provider: DockerProvider, image: string | null = null): Promise<Sandbox> {
  const sandbox = provider.create({ jobId: "job", executionId: "execution", image });
  await sandbox.open();
  return sandbox;
}

async function leftovers(runnerId: string, workRoot: string | null): Promise<string[]> {
  const label = [`shipfox.runner=${runnerId}`];
  const containers = await docker.listContainers({ all: true, filters: { label } });
  const networks = await docker.listNetworks({ filters: { label } });
  const folders = workRoot === null ? [] : await readdir(join(workRoot, "places"));
  return [
    ...containers.map(({ Names }) => `container ${Names[0]}`),
    ...networks.map(({ Name }) => `network ${Name}`),
    ...folders,
  ];
}

for (const exec of ["fast", "plain"] as const) {
  const input = options({ exec, poolSize: exec === "fast" ? 1 : 0 });
  sandboxConformance(`[docker] docker sandbox, ${exec} exec`, {
    makeProvider: async () => await prepared(input),
    leftovers: async () => await leftovers(input.runnerId, input.workRoot),
    catchesEscapees: true,
  });
}

describe("[docker] docker sandbox", { timeout: TEST_TIMEOUT_MS }, () => {
  const input = options({
    poolSize: 1,
    localImages: ["shipfox-test/*"],
    passedEnv: { HTTPS_PROXY: "http://proxy:3128" },
  });
  let provider: DockerProvider;
  let sandbox: Sandbox;

  beforeAll(async () => {
    const npmrcFile = join(folder, "npmrc");
    const caFile = join(folder, "ca.pem");
    await writeFile(npmrcFile, "registry=http://registry.example/\n");
    await writeFile(caFile, "-----BEGIN CERTIFICATE-----\n");
    await writeFile(join(folder, "empty.tar"), await emptyTar());
    Object.assign(input, { npmrcFile, caFile });
    provider = await prepared(input);
    await provider.warmedUp();
    sandbox = await opened(provider);
  }, TEST_TIMEOUT_MS);

  afterAll(async () => {
    await sandbox.close();
    await provider.close();
  }, TEST_TIMEOUT_MS);

  it("gives the steps' user a name, a home and what the operator passes on", async () => {
    const script =
      'whoami; test -w "$HOME"; cat "$HOME/.npmrc"; stat -c %a "$HOME/.npmrc"; cat "$NODE_EXTRA_CA_CERTS"; echo "$HTTPS_PROXY"';
    const { stdout } = await run(sandbox, script);
    expect(stdout.split("\n").slice(1)).toEqual([
      "registry=http://registry.example/",
      "600",
      "-----BEGIN CERTIFICATE-----",
      "http://proxy:3128",
      "",
    ]);
  });

  it("hides the main process and its input from the steps", async () => {
    const { stdout } = await run(
      sandbox,
      'for f in /proc/1/fd/0 /proc/1/environ; do cat "$f" 2>/dev/null && echo open; done; kill -KILL 1 2>/dev/null || echo refused',
    );
    expect(stdout).toBe("refused\n");
  });

  it("limits processes, and can still kill a tree that used them up", async () => {
    const bomb = "for i in $(seq 1 150); do sleep 300 & done; echo ready; while :; do sleep 300 & done 2>/dev/null";
    const { result } = await runUntilReady(sandbox, bomb, 200);
    expect(result.kind).toBe("stopped");
    const next = await run(sandbox, "echo next; ls /proc | grep -c '^[0-9]'");
    expect(next.stdout).toMatch(/^next\n\d{1,2}\n$/);
  });

  it("tells a container that was removed by hand from a step that failed", async () => {
    const doomed = await opened(provider);
    try {
      const abort = new AbortController();
      const step = run(doomed, "echo ready; sleep 300", {
        signal: abort.signal,
        onOutput: async () => {
          const folderName = doomed.workspace.split("/").at(-2);
          const label = [`shipfox.place=${folderName}`, "shipfox.role=job"];
          const [found] = await docker.listContainers({ filters: { label } });
          await docker.getContainer(found?.Id ?? "").remove({ force: true });
        },
      });
      await expect(step).rejects.toMatchObject({ name: "SandboxError", reason: "sandbox_lost" });
    } finally {
      await doomed.close();
    }
  });

  it("runs a job's own image, without bash and without a line for the user", async () => {
    await makeImageWithoutBash();
    const other = await opened(provider, NO_BASH_IMAGE);
    try {
      const { stdout, result } = await run(other, 'echo "$IMAGE_SAYS"; whoami; echo "$HOME"; false; echo never', {
        env: { A: "1" },
      });
      expect(result).toMatchObject({ kind: "exited", exitCode: 1 });
      expect(stdout).toBe(runnerIsRoot() ? "hello\nshipfox\n/home/shipfox\n" : stdout);
    } finally {
      await other.close();
      await docker.getImage(NO_BASH_IMAGE).remove({ force: true });
    }
  });

  it("names the image that is not to be had, and what to do", async () => {
    const wanted = "127.0.0.1:1/no/such:1";
    const error = await opened(provider, wanted).catch((fault: unknown) => fault);
    expect(error).toMatchObject({ name: "SandboxError", reason: "image_unavailable" });
    expect((error as SandboxError).message).toContain(wanted);
    expect((error as SandboxError).message).toContain("scripts/sandbox-image");
  });

  it("refuses an image without a shell, in words", async () => {
    const empty = `shipfox-test/empty-${process.pid}:1`;
    const [repo, tag] = empty.split(":");
    await docker.importImage(join(folder, "empty.tar"), { repo, tag });
    try {
      await expect(opened(provider, empty)).rejects.toMatchObject({ reason: "image_unusable" });
    } finally {
      await docker.getImage(empty).remove({ force: true });
    }
  });

  it.runIf(entersNamespaces)("cannot reach the metadata address, although others on the host can", async () => {
    const sudden = await opened(provider);
    const bridge = bridgeName(input.runnerId, sudden.workspace.split("/").at(-2) ?? "");
    await promisify(execFile)("ip", ["addr", "add", "169.254.169.254/32", "dev", bridge]);
    const server = createServer((_request, response) => response.end("credentials")).listen(0, "169.254.169.254");
    try {
      await once(server, "listening");
      const url = `http://169.254.169.254:${(server.address() as AddressInfo).port}/`;
      expect(await (await fetch(url)).text()).toBe("credentials");
      const { stdout, stderr } = await run(sudden, `curl -sS --max-time 5 ${url} || echo blocked`);
      expect(stdout).toBe("blocked\n");
      expect(stderr).not.toContain("timed out");
    } finally {
      server.close();
      await sudden.close();
    }
  });
});

describe("[docker] docker provider", { timeout: TEST_TIMEOUT_MS }, () => {
  it("dies with its runner: after kill -9 every container goes by itself, and the next start removes the rest", async () => {
    const input = options();
    const runner = spawn(process.execPath, [await runnerScript(input)], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void runner.kill("SIGKILL"));
    await once(runner.stdout, "data");
    const label = [`shipfox.runner=${input.runnerId}`];
    const running = await docker.listContainers({ filters: { label } });
    expect(new Set(running.map(({ Labels }) => Labels["shipfox.role"]))).toEqual(
      new Set(["holder", "job", "service", "service-holder"]),
    );
    const gone = Promise.all(running.map(({ Id }) => docker.getContainer(Id).wait({ condition: "removed" })));

    runner.kill("SIGKILL");

    await gone;
    await expect.poll(async () => await docker.listContainers({ filters: { label } })).toEqual([]);
    await docker.createNetwork({
      Name: `foreign-${process.pid}`,
      Labels: { "shipfox.runner": FOREIGN_RUNNER },
      Internal: true,
    });
    try {
      await (await prepared(input)).close();
      expect(await leftovers(input.runnerId, input.workRoot)).toEqual([]);
      expect(await leftovers(FOREIGN_RUNNER, null)).toEqual([`network foreign-${process.pid}`]);
    } finally {
      await docker.getNetwork(`foreign-${process.pid}`).remove();
    }
  });

  it("asks for containers without capabilities, sockets, logs or other mounts", async () => {
    const input = options();
    const provider = await prepared(input);
    const sandbox = await opened(provider);
    try {
      const label = [`shipfox.runner=${input.runnerId}`];
      for (const { Id } of await docker.listContainers({ filters: { label } })) {
        const { HostConfig, Mounts, State } = await docker.getContainer(Id).inspect();
        expect(HostConfig).toMatchObject({
          Privileged: false,
          AutoRemove: true,
          Init: true,
          LogConfig: { Type: "none" },
        });
        expect(HostConfig.CapDrop).toEqual(["ALL"]);
        expect(HostConfig.SecurityOpt).toEqual(["no-new-privileges"]);
        expect(HostConfig.CapAdd ?? []).toEqual([]);
        expect(Mounts.every(({ Source }) => Source.startsWith(input.workRoot))).toBe(true);
        expect(State.Running).toBe(true);
      }
    } finally {
      await sandbox.close();
      await provider.close();
    }
  });

  it("keeps jobs off the network when the operator says so", async () => {
    const provider = await prepared(options({ egress: "none" }));
    const sandbox = await opened(provider);
    try {
      expect((await run(sandbox, "cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '")).stdout).toBe("lo\n");
    } finally {
      await sandbox.close();
      await provider.close();
    }
  });

  it("says how to go on when Docker does not answer", async () => {
    const provider = new DockerProvider(options({ dockerHost: `unix://${join(folder, "no.sock")}` }));
    const error = await provider.prepare().catch((fault: unknown) => fault);
    expect(error).toBeInstanceOf(SandboxError);
    expect(error).toMatchObject({ reason: "docker_unavailable" });
    expect((error as SandboxError).message).toMatch(/start it/);
  });

  it("says that its subnet is used up, and leaves nothing behind", async () => {
    const input = options({ subnet: "10.212.255.240/28" });
    const provider = await prepared(input);
    const sandbox = await opened(provider);
    try {
      await expect(opened(provider)).rejects.toMatchObject({ reason: "network_unavailable" });
    } finally {
      await sandbox.close();
      await provider.close();
    }
    expect(await leftovers(input.runnerId, input.workRoot)).toEqual([]);
  });
});

async function makeImageWithoutBash(): Promise<void> {
  const container = await docker.createContainer({
    Image: DEFAULT_IMAGE,
    Cmd: ["/bin/sh", "-c", "rm -f /bin/bash /usr/bin/bash; sed -i '/:10001:/d' /etc/passwd /etc/group"],
    Labels: { "shipfox.runner": FOREIGN_RUNNER },
    HostConfig: { NetworkMode: "none" },
  });
  try {
    await container.start();
    await container.wait();
    const [repo, tag] = NO_BASH_IMAGE.split(":");
    await container.commit({ repo, tag, changes: "ENV IMAGE_SAYS=hello" });
  } finally {
    await container.remove({ force: true });
  }
}

async function emptyTar(): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name: "data" }, "no shell here");
  tar.finalize();
  return Buffer.concat(await Array.fromAsync(tar as AsyncIterable<Buffer>));
}

/** A program that opens a sandbox, starts a step that never ends, says so, and stays. */
async function runnerScript(input: DockerOptionsInput): Promise<string> {
  const path = join(folder, "runner.ts");
  const provider = new URL("./docker-provider.ts", import.meta.url).href;
  const pinoUrl = import.meta.resolve("pino");
  const { logger: _logger, lifelines: _lifelines, ...plain } = input;
  await writeFile(
    path,
    `import { DockerProvider } from ${JSON.stringify(provider)};
     import { pino } from ${JSON.stringify(pinoUrl)};
     import { startTestGuard } from ${JSON.stringify(import.meta.resolve("../../guard/test-guard.fixture.ts"))};
     const lifelines = await startTestGuard();
     const provider = new DockerProvider({ ...${JSON.stringify(plain)}, lifelines, logger: pino({ level: "silent" }) });
     await provider.prepare();
     const services = [{ name: "db", image: ${JSON.stringify(DEFAULT_IMAGE)}, command: ["sleep", "300"] }];
     const sandbox = provider.create({ jobId: "j", executionId: "e", image: null, services });
     await sandbox.open();
     await sandbox.exec({
       script: "trap '' TERM HUP PIPE; setsid sleep 300 & echo ready; sleep 300", env: {}, workingDirectory: null, graceMs: 0,
       signal: new AbortController().signal, onOutput: (_, chunk) => void process.stdout.write(chunk),
     });`,
  );
  return path;
}
