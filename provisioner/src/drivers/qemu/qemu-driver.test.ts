import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { CreateRequest, InstanceTags, ObservedMachine, Provider, ProviderError } from "../driver.ts";
import { bootableDisk } from "./bootable-disk.fixture.ts";
import { findMachineProcesses } from "./machine-processes.ts";
import type { QemuMachine } from "./options.ts";
import { qemuDriver } from "./qemu-driver.ts";

const TOKEN = "sf_ert_only-its-runner-may-read-this";
const OWNER = { controller: "0197-controller", pool: "main" };
const MAKER = fileURLToPath(new URL("create-machine.fixture.ts", import.meta.url));
const signal = new AbortController().signal;

describe("[qemu] virtual machines of this host", () => {
  let folder: string;
  let environment: { stateDir: string; baseDir: string };
  let provider: Provider<QemuMachine>;
  let made = 0;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "qemu-driver-"));
    // QEMU reads the images as another user.
    await chmod(folder, 0o755);
    await writeFile(join(folder, "stay.img"), bootableDisk("stay"));
    await writeFile(join(folder, "off.img"), bootableDisk("powerOff"));
    environment = { stateDir: join(folder, "state"), baseDir: folder };
    provider = await open();
  });
  afterEach(async () => {
    for (const { providerId, tags } of await provider.list(OWNER, signal)) {
      if (tags) await provider.delete({ providerId, tags }, signal);
    }
  });
  afterAll(async () => {
    await provider.close();
    await rm(folder, { recursive: true, force: true });
  });

  function open(settings: Record<string, unknown> = {}): Promise<Provider<QemuMachine>> {
    return qemuDriver.open(qemuDriver.settingsSchema.parse({ accel: "tcg", ...settings }), environment);
  }

  function machine(options: Record<string, unknown> = {}): QemuMachine {
    return qemuDriver.machineSchema.parse({
      disk: "stay.img",
      disk_format: "raw",
      memory_mib: 128,
      cpus: 1,
      ...options,
    });
  }

  function request(options: Partial<CreateRequest<QemuMachine>> = {}): CreateRequest<QemuMachine> {
    made += 1;
    const instance = `instance-${made}`;
    return {
      name: `shipfox-${made}`,
      tags: { ...OWNER, instance },
      templateKey: "small",
      machine: machine(),
      boot: { registrationToken: TOKEN, runnerEnv: { SHIPFOX_API_URL: "http://10.0.2.2:16101" } },
      maxLifetimeMs: 120_000,
      ...options,
    };
  }

  async function observed(tags: InstanceTags): Promise<ObservedMachine | undefined> {
    return (await provider.list(OWNER, signal)).find((found) => found.tags?.instance === tags.instance);
  }

  const consoleOf = async (id: string) => (await provider.readConsole(id, signal)) ?? "";
  const refusal = (call: Promise<unknown>) =>
    call.then(
      () => null,
      (error: ProviderError) => error,
    );
  const runFolder = (instance: string) => join(environment.stateDir, "machines", instance, "run");
  const processesOf = (instance: string) => findMachineProcesses().get(runFolder(instance)) ?? [];

  it("give their guest the token on a disk that has no name on the host, and in no command line or environment", async () => {
    const { tags, ...rest } = request();
    const { providerId } = await provider.create({ tags, ...rest }, signal);
    await expect.poll(() => consoleOf(providerId)).toContain("etc/shipfox/registration-token");
    await expect.poll(() => consoleOf(providerId)).toContain(TOKEN);
    for (const pid of processesOf(tags.instance)) {
      const said = await Promise.all(["cmdline", "environ"].map((name) => readFile(`/proc/${pid}/${name}`, "utf8")));
      expect(said.join()).not.toContain(TOKEN);
    }
    const files = await readdir(runFolder(tags.instance));
    expect(files.filter((name) => !name.startsWith("console."))).toEqual(["disk.qcow2"]);
  });

  it("give cloud-init a NoCloud disk instead where the template says so", async () => {
    const { providerId } = await provider.create(request({ machine: machine({ seed: "nocloud" }) }), signal);
    await expect.poll(() => consoleOf(providerId)).toMatch(/CIDATA.*FAT16/s);
  });

  it("are made once for an instance, however often and beside each other it is asked for", async () => {
    const order = request();
    const answers = await Promise.all([provider.create(order, signal), provider.create(order, signal)]);
    answers.push(await provider.create(order, signal), await (await open()).create(order, signal));
    expect(new Set(answers.map(({ providerId }) => providerId)).size).toBe(1);
    expect(await provider.list(OWNER, signal)).toHaveLength(1);
    const other = { ...order, tags: { ...order.tags, pool: "other" } };
    expect((await refusal(provider.create(other, signal)))?.fault).toBe("refused");
  });

  it("outlive the provisioner that made them, killed in whatever way, and are found and removed by the next", async () => {
    const order = request();
    const maker = spawn(process.execPath, [MAKER, JSON.stringify({ environment, request: order })], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(maker.stdout, "data");
    maker.kill("SIGKILL");
    await once(maker, "exit");
    const next = await open();
    const providerId = order.tags.instance;
    expect(await next.list(OWNER, signal)).toEqual([{ providerId, tags: order.tags, state: "running" }]);
    await expect.poll(() => consoleOf(providerId)).toContain(TOKEN);
    await next.delete({ providerId, tags: order.tags }, signal);
    expect(processesOf(providerId)).toEqual([]);
  });

  it("end by a timer of their own when nobody is left to end them", async () => {
    const order = request({ maxLifetimeMs: 1_000 });
    await provider.create(order, signal);
    await expect.poll(async () => (await observed(order.tags))?.state).toBe("stopped");
    expect(processesOf(order.tags.instance)).toEqual([]);
  });

  it("that have turned themselves off stay listed as stopped, with their console, until they are deleted", async () => {
    const order = request({ machine: machine({ disk: "off.img" }) });
    const { providerId } = await provider.create(order, signal);
    await expect.poll(async () => (await observed(order.tags))?.state).toBe("stopped");
    expect(await provider.readConsole(providerId, signal)).toContain(TOKEN);
    await provider.delete({ providerId, tags: order.tags }, signal);
    expect(await observed(order.tags)).toBeUndefined();
    expect(await provider.readConsole(providerId, signal)).toBeNull();
  });

  it("are removed with their disk and every process, and only by exactly their tags", async () => {
    const { tags, ...rest } = request();
    const { providerId } = await provider.create({ tags, ...rest }, signal);
    for (const wrong of [{ controller: "x" }, { pool: "x" }, { instance: "x" }]) {
      const error = await refusal(provider.delete({ providerId, tags: { ...tags, ...wrong } }, signal));
      expect(error).toMatchObject({ fault: "refused", mayHaveHappened: false });
    }
    expect((await observed(tags))?.state).toBe("running");
    const pids = processesOf(tags.instance);
    expect(pids.length).toBeGreaterThanOrEqual(3);
    await provider.delete({ providerId, tags }, signal);
    await provider.delete({ providerId, tags }, signal);
    expect(await observed(tags)).toBeUndefined();
    expect(processesOf(tags.instance)).toEqual([]);
    expect(await readdir(join(environment.stateDir, "machines"))).toEqual([]);
    expect(await readdir(join(environment.stateDir, "pending"))).toEqual([]);
  });

  it("are listed for their own controller and pool only", async () => {
    await provider.create(request(), signal);
    expect(await provider.list({ ...OWNER, controller: "0197-other" }, signal)).toEqual([]);
    expect(await provider.list({ ...OWNER, pool: "other" }, signal)).toEqual([]);
  });

  it("spare a person's shell that stands in their folder", async () => {
    const { tags, ...rest } = request();
    const { providerId } = await provider.create({ tags, ...rest }, signal);
    const shell = spawn("sleep", ["60"], { cwd: runFolder(tags.instance) });
    await provider.delete({ providerId, tags }, signal);
    expect(shell.exitCode ?? shell.signalCode).toBeNull();
    shell.kill();
    await once(shell, "exit");
  });

  it.runIf(getuid?.() === 0)("run as another user without any right, and under a filter of system calls", async () => {
    const { tags, ...rest } = request();
    await provider.create({ tags, ...rest }, signal);
    const statuses = await Promise.all(
      processesOf(tags.instance).map((pid) => readFile(`/proc/${pid}/status`, "utf8")),
    );
    const qemu = statuses.find((status) => status.startsWith("Name:\tqemu-system"));
    expect(qemu).toMatch(/^Uid:\t10002\t10002\t10002\t10002$/m);
    expect(qemu).toMatch(/^Groups:\t\s*$/m);
    for (const set of ["CapPrm", "CapEff", "CapBnd"]) expect(qemu).toMatch(new RegExp(`^${set}:\t0+$`, "m"));
    expect(qemu).toMatch(/^NoNewPrivs:\t1$/m);
    expect(qemu).toMatch(/^Seccomp:\t2$/m);
  });

  it("leave nothing behind when they cannot be made, and say why", async () => {
    const missing = await refusal(provider.create(request({ machine: machine({ disk: "none.img" }) }), signal));
    expect(missing).toMatchObject({ fault: "refused", mayHaveHappened: false });
    expect(missing?.message).toContain("none.img");
    const kernel = await refusal(provider.create(request({ machine: machine({ kernel: "none" }) }), signal));
    expect(kernel).toMatchObject({ fault: "refused" });
    expect(kernel?.message).toContain("none");
    const aborted = await refusal(provider.create(request(), AbortSignal.abort()));
    expect(aborted?.fault).toBe("unavailable");
    expect(await provider.list(OWNER, signal)).toEqual([]);
    expect(await readdir(join(environment.stateDir, "machines"))).toEqual([]);
  });

  it("are refused for want of room once the host's share of memory is given away", async () => {
    const small = await open({ memory_mib: 300 });
    await small.create(request(), signal);
    const orders = [request(), request()].map((order) => refusal(small.create(order, signal)));
    const refused = (await Promise.all(orders)).filter((error) => error !== null);
    expect(refused.map(({ fault }) => fault)).toEqual(["no_capacity"]);
    expect(refused[0]?.message).toMatch(/have 256 MiB of 300 MiB; 128 MiB more do not fit/);
  });

  it("show in their record that it is broken, and nobody's", async () => {
    const order = request();
    const { providerId } = await provider.create(order, signal);
    const record = join(environment.stateDir, "machines", providerId, "record.json");
    const intact = await readFile(record, "utf8");
    await writeFile(record, "{");
    expect(await provider.list(OWNER, signal)).toEqual([{ providerId, tags: null, state: "running" }]);
    expect((await refusal(provider.delete({ providerId, tags: order.tags }, signal)))?.fault).toBe("refused");
    await writeFile(record, intact);
  });

  it("are checked before any is made", async () => {
    expect(await provider.check([machine(), machine({ disk: "off.img" })], signal)).toEqual([]);
    await writeFile(join(folder, "secret.img"), "", { mode: 0o600 });
    const problems = await (await open({ accel: "kvm", memory_mib: 200 })).check(
      [machine({ disk: "none.img" }), machine({ disk_format: "qcow2", memory_mib: 256 }), machine({ kernel: "k" })],
      signal,
    );
    expect(problems.join("\n")).toMatch(/none\.img is missing/);
    expect(problems.join("\n")).toMatch(/stay\.img is no qcow2 image/);
    expect(problems.join("\n")).toMatch(/\/k is missing/);
    expect(problems.join("\n")).toMatch(/256 MiB never fits: all machines together may have 200 MiB/);
    if (getuid?.() === 0)
      expect((await provider.check([machine({ disk: "secret.img" })], signal)).join()).toMatch(
        /user 10002 may not read it/,
      );
  });

  it("cannot be opened where QEMU is missing", async () => {
    const error = await refusal(open({ binary: "qemu-system-none" }));
    expect(error).toMatchObject({ fault: "refused" });
    expect(error?.message).toContain("qemu-system-none is not on this host");
  });

  it("work for a provisioner that is not root as well", async () => {
    if (getuid?.() !== 0) return;
    const home = await mkdtemp(join(tmpdir(), "qemu-nobody-"));
    try {
      await execa("chown", ["65534:65534", home]);
      const argument = JSON.stringify({
        environment: { stateDir: join(home, "state"), baseDir: folder },
        request: request({ maxLifetimeMs: 1_000 }),
      });
      const maker = spawn(process.execPath, [MAKER, argument], {
        uid: 65534,
        gid: 65534,
        stdio: ["ignore", "pipe", "inherit"],
      });
      await once(maker.stdout, "data");
      maker.kill("SIGKILL");
      await once(maker, "exit");
    } finally {
      await expect.poll(() => [...findMachineProcesses().keys()].filter((path) => path.startsWith(home))).toEqual([]);
      await rm(home, { recursive: true, force: true });
    }
  });
});
