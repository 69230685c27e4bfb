import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findHookFault, type HookRun, runHook } from "./host-hooks.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "shipfox-hooks-"));
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

async function hook(script: string, mode = 0o755): Promise<string> {
  const path = join(root, "hook");
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, mode);
  return path;
}

async function run(path: string, changes: Partial<HookRun> = {}) {
  let output = "";
  const fault = await runHook(path, {
    env: {},
    timeoutMs: 30_000,
    signal: new AbortController().signal,
    onOutput: (_, chunk) => void (output += chunk.toString()),
    ...changes,
  });
  return { fault, output };
}

/** A dead process that nobody has asked about yet is still in the list. */
async function isAlive(pid: string): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "State: X");
  return !/State:\s+[ZX]/.test(status);
}

describe("a hook", () => {
  it("runs with an environment made from nothing, in an empty folder that is gone afterwards", async () => {
    process.env["HOOK_TEST_SECRET"] = "sf_rt_secret";
    const { fault, output } = await run(await hook("env; ls -A; pwd"), { env: { SHIPFOX_JOB_ID: "1" } });
    delete process.env["HOOK_TEST_SECRET"];
    expect(fault).toBeNull();
    const lines = output.trim().split("\n");
    expect(lines.map((line) => line.split("=")[0])).not.toContain("HOOK_TEST_SECRET");
    expect(lines).toContain("SHIPFOX_JOB_ID=1");
    const folder = lines.at(-1) ?? "";
    expect(folder).toContain("shipfox-hook-");
    await expect(readdir(folder)).rejects.toThrow("ENOENT");
  });

  it("fails with its exit code, and with the signal that killed it", async () => {
    expect((await run(await hook("exit 3"))).fault).toBe("exited with code 3");
    expect((await run(await hook("kill -KILL $$"))).fault).toBe("was killed by SIGKILL");
    await writeFile(join(root, "hook"), "#!/no/such/program\n");
    expect((await run(join(root, "hook"))).fault).toMatch(/^could not be started: /);
  });

  it("is ended with everything it started when it takes too long or the job is stopped", async () => {
    const slow = await hook(
      `trap 'exit 0' TERM; sh -c 'trap "" TERM; echo $$ > ${root}/pid; while :; do sleep 0.05; done' & wait`,
    );
    expect((await run(slow, { timeoutMs: 1_000 })).fault).toBe("took longer than 1 s");
    const pid = (await readFile(join(root, "pid"), "utf8")).trim();
    await expect.poll(() => isAlive(pid)).toBe(false);
    const stop = new AbortController();
    const stopped = run(await hook("echo ready; exec sleep 300"), {
      signal: stop.signal,
      onOutput: () => stop.abort(),
    });
    expect((await stopped).fault).toBe("was stopped");
  });

  it("is not held up by a background process that keeps its pipes", async () => {
    const { fault, output } = await run(await hook("sleep 20 & echo $!; exit 0"));
    expect(fault).toBeNull();
    process.kill(Number(output.trim()));
  });
});

describe("a file that is to be a hook", () => {
  it("is taken when only its owner can change it, also through a link", async () => {
    const path = await hook("true");
    await symlink(path, join(root, "link"));
    expect([await findHookFault(path), await findHookFault(join(root, "link"))]).toEqual([null, null]);
  });

  it.each([
    ["a relative path", async () => "hook", /not an absolute path/],
    ["nothing", async () => join(root, "none"), /cannot be run/],
    ["a folder", async () => root, /not a file/],
    ["a file without the right to run", () => hook("true", 0o644), /cannot be run/],
    ["a file that its group may write", () => hook("true", 0o775), /can be written by others/],
    ["a file that all may write", () => hook("true", 0o757), /can be written by others/],
    [
      "a file in a folder that all may write",
      async () => {
        const open = join(root, "open");
        await mkdir(open);
        await chmod(open, 0o777);
        await writeFile(join(open, "hook"), "#!/bin/sh\n", { mode: 0o755 });
        return join(open, "hook");
      },
      /open can be written by others/,
    ],
  ])("is refused when it is %s", async (_what, make, fault) => {
    expect(await findHookFault(await make())).toMatch(fault);
  });
});
