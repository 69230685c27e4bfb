import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CreateRequest, type InstanceTags, type Provider, ProviderError } from "../driver.ts";
import { commandDriver } from "./command.ts";
import type { CommandMachine } from "./contract.ts";

const OWNER = { controller: "controller-a", pool: "linux" };
const TAGS: InstanceTags = { ...OWNER, instance: "instance-1" };
const TOKEN = "sf_ert_a-secret-of-this-test";
const REQUEST: CreateRequest<CommandMachine> = {
  name: "shipfox-instance-1",
  tags: TAGS,
  templateKey: "small",
  machine: { size: "s", disks: [1, 2] },
  boot: { registrationToken: TOKEN, runnerEnv: { SHIPFOX_API_URL: "https://ci.example.com" } },
  maxLifetimeMs: 90_500,
};
const never = new AbortController().signal;

let root: string;
let provider: Provider<CommandMachine>;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "shipfox-command-"));
});

afterEach(async () => {
  await provider.close();
  await rm(root, { recursive: true, force: true });
});

/** A provider whose program is this shell script; it runs in the folder `state`. */
async function open(script: string, settings: object = {}): Promise<Provider<CommandMachine>> {
  await writeFile(join(root, "program"), `#!/bin/sh\n${script}\n`);
  await chmod(join(root, "program"), 0o755);
  const parsed = commandDriver.settingsSchema.parse({ command: ["./program"], ...settings });
  provider = await commandDriver.open(parsed, { stateDir: join(root, "state"), baseDir: root });
  return provider;
}

const written = (name: string) => readFile(join(root, "state", name), "utf8");
const faultOf = (call: Promise<unknown>) =>
  call.then(
    () => expect.unreachable("it did not fail"),
    (error: unknown) => {
      expect(error).toBeInstanceOf(ProviderError);
      const { fault, message, mayHaveHappened, retryAfterMs } = error as ProviderError;
      return { fault, message, mayHaveHappened, retryAfterMs };
    },
  );

/** Waits until the program has written its file, for which no event exists outside of it. */
async function runs(name: string): Promise<number> {
  await expect.poll(() => written(name).catch(() => "")).toMatch(/\n/);
  return Number(await written(name));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("what the program gets", () => {
  it("is one JSON object on its standard input, and the operation as its last argument", async () => {
    await open(`cat > question; echo "$@" > arguments; echo '{"provider_id": "m-1"}'`, {
      command: ["./program", "--zone", "a b"],
    });
    expect(await provider.create(REQUEST, never)).toEqual({ providerId: "m-1" });
    expect(JSON.parse(await written("question"))).toEqual({
      version: 1,
      name: "shipfox-instance-1",
      tags: TAGS,
      template_key: "small",
      machine: { size: "s", disks: [1, 2] },
      max_lifetime_seconds: 91,
      runner_env: { SHIPFOX_API_URL: "https://ci.example.com" },
      registration_token: TOKEN,
    });
    expect(await written("arguments")).toBe("--zone a b create\n");
  });

  it("is an environment made from nothing, with the variables that the settings name", async () => {
    process.env["COMMAND_TEST_PASSED"] = "yes";
    process.env["COMMAND_TEST_KEPT"] = "no";
    try {
      await open(`env > environment; echo '{"problems": []}'`, {
        pass_env: ["COMMAND_TEST_PASSED", "COMMAND_TEST_UNSET"],
      });
      expect(await provider.check([], never)).toEqual([]);
    } finally {
      delete process.env["COMMAND_TEST_PASSED"];
      delete process.env["COMMAND_TEST_KEPT"];
    }
    const names = (await written("environment")).split("\n").map((line) => line.split("=")[0]);
    // The shell adds its own.
    const ofTheShell = new Set(["", "PWD", "OLDPWD", "_", "SHLVL"]);
    expect(new Set(names.filter((name) => !ofTheShell.has(name ?? "")))).toEqual(
      new Set(["COMMAND_TEST_PASSED", "HOME", "LANG", "PATH"]),
    );
  });

  it("is no variable of Shipfox, whatever the settings say", () => {
    const parsed = commandDriver.settingsSchema.safeParse({ command: ["x"], pass_env: ["SHIPFOX_PROVISIONER_TOKEN"] });
    expect(parsed.error?.issues[0]?.message).toBe("variables of Shipfox are not handed on");
  });
});

describe("a list", () => {
  const list = (machines: unknown, complete: unknown = true) =>
    open(`cat > question; cat <<'END'\n${JSON.stringify({ complete, machines })}\nEND`);
  const machine = (id: string, tags: object, state = "running") => ({ provider_id: id, tags, state });

  it("is of our machines alone, and says which tags are not whole", async () => {
    await list([
      machine("m-1", TAGS),
      machine("m-2", OWNER, "stopped"),
      machine("m-3", { ...TAGS, pool: "other" }),
      machine("m-4", { ...TAGS, controller: "controller-b" }),
      machine("m-5", {}),
      machine("m-6", { ...OWNER, instance: 7 }, "starting"),
    ]);
    expect(await provider.list(OWNER, never)).toEqual([
      { providerId: "m-1", tags: TAGS, state: "running" },
      { providerId: "m-2", tags: null, state: "stopped" },
      { providerId: "m-6", tags: null, state: "starting" },
    ]);
    expect(JSON.parse(await written("question"))).toEqual({ version: 1, ...OWNER });
  });

  it.each([
    ["does not say that it is complete", [], false],
    ["has a machine without an id", [{ tags: TAGS, state: "running" }], true],
    ["has a state that nobody knows", [machine("m-1", TAGS, "sleeping")], true],
    ["names a machine twice", [machine("m-1", TAGS), machine("m-1", TAGS)], true],
  ])("is no answer when it %s", async (_what, machines, complete) => {
    await list(machines, complete);
    expect(await faultOf(provider.list(OWNER, never))).toMatchObject({ fault: "unavailable", mayHaveHappened: false });
  });

  it("is no answer when the program says nothing", async () => {
    await open("true");
    expect(await faultOf(provider.list(OWNER, never))).toMatchObject({ fault: "unavailable" });
  });
});

describe("a deletion", () => {
  const owning = (machines: unknown) =>
    open(`cat > $1; [ $1 = delete ] || echo '${JSON.stringify({ complete: true, machines })}'; echo '{}' >> /dev/null
[ $1 = list ] || echo '{}'`);

  it("is asked of the program when the machine has exactly the tags", async () => {
    await owning([{ provider_id: "m-1", tags: TAGS, state: "running" }]);
    await provider.delete({ providerId: "m-1", tags: TAGS }, never);
    expect(JSON.parse(await written("list"))).toEqual({ version: 1, provider_id: "m-1" });
    expect(JSON.parse(await written("delete"))).toEqual({ version: 1, provider_id: "m-1", tags: TAGS });
  });

  it.each([
    ["another controller", { ...TAGS, controller: "controller-b" }],
    ["another pool", { ...TAGS, pool: "other" }],
    ["another instance", { ...TAGS, instance: "instance-2" }],
    ["no tag of an instance", OWNER],
    ["no tags", {}],
  ])("is refused and not asked of it when the machine has %s", async (_what, tags) => {
    await owning([{ provider_id: "m-1", tags, state: "running" }]);
    const fault = await faultOf(provider.delete({ providerId: "m-1", tags: TAGS }, never));
    expect(fault).toMatchObject({ fault: "refused", mayHaveHappened: false });
    await expect(written("delete")).rejects.toThrow("ENOENT");
  });

  it("of a machine that is gone is done", async () => {
    await owning([]);
    await provider.delete({ providerId: "m-1", tags: TAGS }, never);
    await expect(written("delete")).rejects.toThrow("ENOENT");
  });
});

describe("a failure", () => {
  it.each([
    [10, "throttled", false],
    [11, "no_capacity", false],
    [12, "quota", false],
    [13, "refused", false],
    // Nobody said how far it got.
    [14, "unavailable", true],
    [1, "unavailable", true],
  ])("with exit code %i is %s", async (code, fault, mayHaveHappened) => {
    await open(`echo no luck with ${TOKEN} >&2; exit ${code}`);
    const failure = await faultOf(provider.create(REQUEST, never));
    expect(failure).toMatchObject({ fault, mayHaveHappened, retryAfterMs: 0 });
    expect(failure.message).toContain(": no luck with ***");
    expect(failure.message).not.toContain(TOKEN);
  });

  it("says more in an answer when it can", async () => {
    const said = { message: "slow\ndown", may_have_happened: true, retry_after_seconds: 2.5 };
    await open(`cat <<'END'\n${JSON.stringify(said)}\nEND\necho noise >&2; exit 10`);
    expect(await faultOf(provider.create(REQUEST, never))).toEqual({
      fault: "throttled",
      message: "The command's create exited with 10 (throttled): slow down",
      mayHaveHappened: true,
      retryAfterMs: 2_500,
    });
    // Nothing was to be changed.
    expect(await faultOf(provider.list(OWNER, never))).toMatchObject({ mayHaveHappened: false });
  });

  it("is unclear when the answer is not of the contract, although the program was content", async () => {
    await open("echo done");
    expect(await faultOf(provider.create(REQUEST, never))).toMatchObject({
      fault: "unavailable",
      mayHaveHappened: true,
    });
  });

  it("at the time limit ends the program with everything that it started", async () => {
    await open("trap '' TERM; sleep 300 & echo $! > child; echo $$ > self; wait; wait; sleep 300", {
      time_limit: "1s",
    });
    const failure = faultOf(provider.create(REQUEST, never));
    const pids = [await runs("self"), await runs("child")];
    expect(await failure).toMatchObject({
      fault: "unavailable",
      message: "The command's create was ended: it took too long.",
      mayHaveHappened: true,
    });
    await expect.poll(() => pids.filter(isAlive)).toEqual([]);
  });

  it("ends the program when the caller gives up", async () => {
    await open("echo $$ > self; exec sleep 300");
    const stop = new AbortController();
    const failure = faultOf(provider.list(OWNER, stop.signal));
    const pid = await runs("self");
    stop.abort();
    expect(await failure).toMatchObject({ fault: "unavailable", mayHaveHappened: false });
    expect(isAlive(pid)).toBe(false);
  });

  it("ends a program that floods", async () => {
    await open("exec yes");
    expect((await faultOf(provider.list(OWNER, never))).message).toContain("more than 8388608 bytes");
  });

  it("before the program had its turn cannot have had an effect", async () => {
    await open("echo $$ > self; exec sleep 300", { max_parallel: 1 });
    const stop = new AbortController();
    const first = faultOf(provider.create(REQUEST, stop.signal));
    await runs("self");
    const leave = new AbortController();
    const second = faultOf(provider.create(REQUEST, leave.signal));
    leave.abort();
    expect(await second).toMatchObject({ fault: "unavailable", mayHaveHappened: false });
    stop.abort();
    expect(await first).toMatchObject({ mayHaveHappened: true });
  });

  it("of a program that others can change is refused, and a check says why", async () => {
    await open("true");
    await chmod(join(root, "program"), 0o777);
    expect(await faultOf(provider.list(OWNER, never))).toMatchObject({ fault: "refused" });
    expect(await provider.check([], never)).toEqual([
      `The command of the provider cannot be used: ${join(root, "program")} can be written by others.`,
    ]);
  });
});

describe("a console", () => {
  it("is the last of it, or nothing", async () => {
    await open(
      `case $(cat) in *m-1*) printf '{"console": "'; head -c 20000 /dev/zero | tr '\\0' a; echo 'z"}' ;; *) echo '{"console": null}' ;; esac`,
    );
    const text = await provider.readConsole("m-1", never);
    expect([text?.length, text?.endsWith("az")]).toEqual([16_384, true]);
    expect(await provider.readConsole("m-2", never)).toBeNull();
  });
});
