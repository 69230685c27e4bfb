import { createServer, type Server } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { driverConformance } from "../conformance.ts";
import { type CreateRequest, type Provider, ProviderError } from "../driver.ts";
import { dockerDriver } from "./docker-driver.ts";
import type { DockerMachine } from "./options.ts";
import { TestEngine } from "./test-engine.fixture.ts";

const ENVIRONMENT = { stateDir: "/nonexistent", baseDir: "/nonexistent" };
const TOKEN = "sf_ert_only-its-runner-may-read-this";
const engine = new TestEngine();
const images = { stay: "", chatty: "", look: "" };

/** Longer than a console may be, and what follows is its end. */
const CHATTER = "i=0; while [ $i -lt 2000 ]; do echo line $i of what nobody reads; i=$((i+1)); done; echo the end";
const LOOK = [
  "cat /etc/shipfox/registration-token; stat -c %a:%u /etc/shipfox/registration-token /etc/shipfox/runner.env",
  "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; cat /sys/fs/cgroup/memory.max 2>/dev/null",
  "setpriv --reuid 10001 --regid 10001 --clear-groups cat /etc/shipfox/registration-token 2>/dev/null || echo closed",
  "ls /var/run/docker.sock /run/docker.sock 2>/dev/null; echo looked; exec sleep 600",
].join("\n");

function open(settings: Record<string, unknown> = {}): Promise<Provider<DockerMachine>> {
  const { network, subnet, id } = engine;
  const all = { network, subnet, labels: { "test.run": id }, ...settings };
  return dockerDriver.open(dockerDriver.settingsSchema.parse(all), ENVIRONMENT);
}

function machine(image: string, options: Record<string, unknown> = {}): DockerMachine {
  return dockerDriver.machineSchema.parse({ image, cpus: 0.5, memory_mib: 64, pids: 64, ...options });
}

beforeAll(async () => {
  images.stay = await engine.image("stay", ["sleep", "600"]);
  images.chatty = await engine.image("chatty", ["sh", "-c", CHATTER]);
  images.look = await engine.image("look", ["sh", "-c", LOOK]);
});
afterAll(() => engine.close());

driverConformance("[docker] containers", {
  open,
  machine: () => machine(images.stay),
  refusedMachine: () => machine("shipfox-no-such-image:1"),
  chattyMachine: () => machine(images.chatty),
  leftovers: () => engine.inventory(),
  plant: (name, tags) => engine.plant(name, tags),
  openUnreachable: () => open({ host: "tcp://127.0.0.1:1" }),
  openBreakingLists: () => open({ host: brokenLists.address }),
  endsItself: true,
});

/** The engine's socket, of whose lists only the first part arrives. */
const brokenLists = { address: "", server: null as Server | null, folder: "" };
beforeAll(async () => {
  brokenLists.folder = await mkdtemp(join(tmpdir(), "docker-driver-"));
  const socket = join(brokenLists.folder, "docker.sock");
  brokenLists.address = `unix://${socket}`;
  brokenLists.server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json", "content-length": 1_000 });
    response.write('[{"Id":"1","State":"running"},');
    setImmediate(() => response.destroy());
  });
  await new Promise<void>((resolve) => brokenLists.server?.listen(socket, resolve));
});
afterAll(async () => {
  brokenLists.server?.close();
  await rm(brokenLists.folder, { recursive: true });
});

describe("[docker] a container of a runner", () => {
  const { signal } = new AbortController();
  const owner = { controller: `0197-${engine.id}`, pool: "own" };
  let provider: Provider<DockerMachine>;
  let made = 0;
  beforeAll(async () => {
    provider = await open();
  });

  function request(image: string, options: Record<string, unknown> = {}): CreateRequest<DockerMachine> {
    made += 1;
    return {
      name: `shipfox-own-${engine.id}-${made}`,
      tags: { ...owner, instance: `instance-${engine.id}-${made}` },
      templateKey: "small",
      machine: machine(image, options),
      boot: { registrationToken: TOKEN, runnerEnv: { SHIPFOX_API_URL: "http://10.214.0.1:16101" } },
      maxLifetimeMs: 600_000,
    };
  }

  async function create(order: CreateRequest<DockerMachine>): Promise<string> {
    const { providerId } = await provider.create(order, signal);
    onTestFinished(() => provider.delete({ providerId, tags: order.tags }, signal));
    return providerId;
  }

  it("gets the token as a file of its root, in no environment, argument or label, and steps cannot read it", async () => {
    const id = await create(request(images.look));
    const seen = async () => (await provider.readConsole(id, signal)) ?? "";
    await expect.poll(seen).toContain("looked");
    expect(await seen()).toContain(`${TOKEN}\n600:0\n600:0\n`);
    expect(await seen()).toMatch(/closed\nlooked/);
    const inspected = JSON.stringify(await engine.docker.getContainer(id).inspect());
    expect(inspected).not.toContain(TOKEN);
    const { Processes } = (await engine.docker.getContainer(id).top({ ps_args: "-eo pid,args" })) as {
      Processes: string[][];
    };
    expect(JSON.stringify(Processes)).not.toContain(TOKEN);
  });

  it("has no path or socket of the host, few capabilities, no way to more, and limits", async () => {
    const id = await create(request(images.look, { tmpfs_mib: 8 }));
    const { HostConfig, Mounts } = await engine.docker.getContainer(id).inspect();
    expect(HostConfig).toMatchObject({
      Privileged: false,
      PidsLimit: 64,
      Memory: 64 * 1024 ** 2,
      MemorySwap: 64 * 1024 ** 2,
      NanoCpus: 500_000_000,
      RestartPolicy: { Name: "no" },
      PidMode: "",
      NetworkMode: engine.network,
    });
    expect([HostConfig.Binds ?? [], HostConfig.Devices ?? [], Mounts.filter(({ Type }) => Type !== "tmpfs")]).toEqual([
      [],
      [],
      [],
    ]);
    const seen = async () => ((await provider.readConsole(id, signal)) ?? "").replaceAll("\t", " ");
    await expect.poll(seen).toContain("looked");
    // CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID and SETUID.
    expect(await seen()).toContain("CapEff: 00000000000000eb\nCapBnd: 00000000000000eb\nNoNewPrivs: 1\nSeccomp: 2\n");
    expect(await seen()).toMatch(/closed\nlooked/);
  });

  it("counts as over when the provisioner that made it was killed before the start, and is started when it is asked for again", async () => {
    const order = request(images.look);
    const { docker } = engine;
    const labels = Object.entries(order.tags).map(([key, value]) => [`io.shipfox.provisioner.${key}`, value] as const);
    await provider.check([], signal);
    const { id } = await docker.createContainer({
      name: order.name,
      Image: images.look,
      Labels: Object.fromEntries(labels),
    });
    // Nobody has its token any more: it is over unless somebody asks for it anew.
    const { controller, pool } = order.tags;
    expect(await provider.list({ controller, pool }, signal)).toContainEqual(
      expect.objectContaining({ providerId: id, state: "stopped" }),
    );
    expect(await create(order)).toBe(id);
    await expect.poll(async () => (await docker.getContainer(id).inspect()).State.Status).toBe("running");
    await expect.poll(async () => (await provider.readConsole(id, signal)) ?? "").toContain(TOKEN);
  });

  it("never takes over a container that has its name and not its labels", async () => {
    const order = request(images.stay);
    const theirs = await engine.plant(order.name, {});
    onTestFinished(theirs.remove);
    await expect(provider.create(order, signal)).rejects.toMatchObject({ fault: "refused", mayHaveHappened: false });
    expect(await theirs.exists()).toBe(true);
  });

  it("is removed again when it cannot start, and the reason is told", async () => {
    const broken = await engine.image("broken", ["/no/such/program"]);
    const order = request(broken, { tmpfs_mib: 8 });
    await expect(provider.create({ ...order, machine: machine(broken, { runtime: "none" }) }, signal)).rejects.toThrow(
      /none/,
    );
    expect(await provider.list(owner, signal)).toEqual([]);
  });

  it("reaches the host at the gateway of its network, where a control plane can listen for machines, and not at loopback", async () => {
    const id = await create(request(images.look));
    const info = await engine.docker.getNetwork(engine.network).inspect();
    const gateway = (info as { IPAM: { Config: { Gateway: string }[] } }).IPAM.Config[0]?.Gateway ?? "";
    const heard = Promise.withResolvers<string>();
    const server = createServer((call, response) => {
      heard.resolve(call.url ?? "");
      response.end();
    }).listen(0, gateway);
    onTestFinished(() => void server.close());
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    const exec = await engine.docker.getContainer(id).exec({ Cmd: ["curl", "-s", `http://${gateway}:${port}/heard`] });
    await exec.start({});
    expect(await heard.promise).toBe("/heard");
    const { NetworkSettings } = await engine.docker.getContainer(id).inspect();
    expect(Object.keys(NetworkSettings.Networks)).toEqual([engine.network]);
  });

  it("is checked before any is made: limits, runtime and image", async () => {
    const wrong = machine("shipfox-no-such-image:1", { cpus: 1_024, memory_mib: 16 * 1024 ** 2, runtime: "none" });
    const problems = (await provider.check([wrong], signal)).join("\n");
    expect(problems).toMatch(/cpus: 1024 is more than the \d+ of the engine's machine/);
    expect(problems).toMatch(/memory_mib: 16777216 is more than the \d+/);
    expect(problems).toMatch(/the engine knows no none, only .*runc/);
    expect(problems).toMatch(/shipfox-no-such-image:1 is not on the engine's machine/);
  });
});

describe("the settings of Docker", () => {
  it.each([
    [{ host: "tcp://10.0.0.1:2375" }, "an engine on another host needs tls"],
    [{ host: "http://x" }, "expected unix:///run/docker.sock or tcp://host:port"],
    [{ network: "host" }, "expected a network of its own for runners"],
    [{ network: "container:x" }, "expected the name of a network"],
    [{ subnet: "10.0.0.0/8" }, "between /16 and /28"],
    [{ labels: { "io.shipfox.provisioner.pool": "x" } }, "expected a label that is not io.shipfox's"],
    [{ socket: "x" }, "socket"],
  ])("are refused in words: %j", (settings, said) => {
    expect(JSON.stringify(dockerDriver.settingsSchema.safeParse(settings).error)).toContain(said);
  });

  it.each([
    { image: "-v" },
    { image: "a", privileged: true },
    { image: "a", volumes: ["/:/host"] },
    { image: "a", pids: 1 },
  ])("have no machine such as %j", (options) => {
    expect(dockerDriver.machineSchema.safeParse(options).success).toBe(false);
  });

  it("name a file of TLS that is missing", async () => {
    const tls = { ca_file: "ca.pem", cert_file: "cert.pem", key_file: "key.pem" };
    const opening = dockerDriver.open(
      dockerDriver.settingsSchema.parse({ host: "tcp://10.0.0.1:2376", tls }),
      ENVIRONMENT,
    );
    await expect(opening).rejects.toThrow(/\/nonexistent\/ca\.pem, which tls names, cannot be read \(ENOENT\)/);
    await expect(opening).rejects.toBeInstanceOf(ProviderError);
  });
});
