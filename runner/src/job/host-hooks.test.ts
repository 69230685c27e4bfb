import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HookRun, runHook } from "./host-hooks.ts";

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
