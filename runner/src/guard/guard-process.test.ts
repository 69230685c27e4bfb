import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StandInPlane } from "../control-plane/stand-in-plane.fixture.ts";
import type { Guard } from "./guard-process.ts";
import type { LeaseNews, LeaseOrder } from "./messages.ts";
import { startTestGuard } from "./test-guard.fixture.ts";

const TOKEN = "lease-token-of-the-test";
const ORDER: LeaseOrder = {
  jobId: "11111111-1111-7111-8111-111111111111",
  token: TOKEN,
  termMs: 40_000,
  heartbeatIntervalMs: 50,
  outageLimitMs: 60_000,
  capabilities: { sandbox: "host" },
};

let folder: string;
let plane: StandInPlane;
const cleanUps: (() => Promise<unknown> | void)[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "shipfox-guard-"));
  plane = new StandInPlane();
  await plane.start();
  plane.on(/heartbeat$/, () => ({ status: 200, json: { cancel: false, lease_token: TOKEN } }));
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await plane.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function startGuard(): Promise<Guard> {
  const guard = await startTestGuard({ baseUrl: plane.url });
  cleanUps.push(() => guard.close());
  return guard;
}

/** A runner with one lease and one pipe held, whose main loop stands still for as many milliseconds as it is told on its input. */
async function startMain(
  standstillLimitMs: number,
  pipe: string,
  lifetimeLimitMs: number | null = null,
): Promise<ChildProcess> {
  const script = join(folder, "main.ts");
  writeFileSync(
    script,
    `import { startTestGuard } from ${JSON.stringify(import.meta.resolve("./test-guard.fixture.ts"))};
     const guard = await startTestGuard({ baseUrl: ${JSON.stringify(plane.url)}, standstillLimitMs: ${standstillLimitMs}, lifetimeLimitMs: ${lifetimeLimitMs} });
     guard.lost.addEventListener("abort", () => process.stdout.write("lost"));
     await guard.holdPipe(${JSON.stringify(pipe)});
     guard.keepLease(${JSON.stringify(ORDER)}, () => {});
     process.stdin.on("data", (text) => {
       const until = performance.now() + Number(text);
       process.stdout.write("blocked");
       while (performance.now() < until);
       process.stdout.write("free");
     });
     process.stdout.write("ready");`,
  );
  const main = spawn(process.execPath, [script], { stdio: ["pipe", "pipe", "inherit"] });
  cleanUps.push(() => void main.kill("SIGKILL"));
  await said(main, "ready");
  return main;
}

async function said(main: ChildProcess, word: string): Promise<void> {
  let text = "";
  for await (const [chunk] of eventsOf(main)) {
    text += String(chunk);
    if (text.includes(word)) return;
  }
}

async function* eventsOf(main: ChildProcess): AsyncGenerator<unknown[]> {
  while (main.exitCode === null) yield await once(main.stdout as NodeJS.ReadableStream, "data");
}

/** A pipe and its reader, whose open returns once the pipe is held: it would never return if that came and went before. */
function makePipe(): { path: string; opened: Promise<unknown>; ended: Promise<unknown> } {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const reader = createReadStream(path);
  const opened = once(reader, "open");
  const ended = once(reader, "end");
  reader.resume();
  return { path, opened, ended };
}

const beats = async (count: number) => {
  await expect.poll(() => plane.requests.length).toBeGreaterThanOrEqual(count);
};

describe("the guard", () => {
  it("renews leases while the runner's main loop stands still", async () => {
    const { path } = makePipe();
    const main = await startMain(20_000, path);
    await beats(1);
    main.stdin?.write("4000");
    await said(main, "blocked");
    let isFree = false;
    void said(main, "free").then(() => void (isFree = true));
    await beats(plane.requests.length + 5);
    expect(isFree).toBe(false);
  });

  it("kills a runner that outlives its life, with all that hangs on it, also when it stands still", async () => {
    const { path, ended } = makePipe();
    const main = await startMain(20_000, path, 1_500);
    const exited = once(main, "exit");
    main.stdin?.write("60000");
    await said(main, "blocked");
    expect(await exited).toEqual([null, "SIGKILL"]);
    await ended;
  });

  it("lets go of everything when the main loop stands still for too long, and renews no more before that", async () => {
    const { path, opened, ended } = makePipe();
    const main = await startMain(1_000, path);
    await opened;
    await beats(1);
    main.stdin?.write("6000");
    await ended;
    const count = plane.requests.length;
    await said(main, "lost");
    expect(plane.requests).toHaveLength(count);
  });

  it("lets go of everything when the runner is killed", async () => {
    const { path, opened, ended } = makePipe();
    const main = await startMain(20_000, path);
    await opened;
    main.kill("SIGKILL");
    await expect(ended).resolves.toEqual([]);
  });

  it("lets go of a line when it is told to, and of no other", async () => {
    const guard = await startGuard();
    const { path, opened, ended } = makePipe();
    const line = await guard.holdPipe(path);
    await opened;
    await guard.holdProcesses("MARK=1");
    line.release();
    line.release();
    await ended;
    expect(guard.status().isAlive).toBe(true);
  });

  it("says in words why a line cannot be held", async () => {
    const guard = await startGuard();
    await expect(guard.holdPipe(join(folder, "none"))).rejects.toThrow(/Cannot hold a job's lifeline: ENOENT/);
    await expect(guard.holdContainer(`unix://${folder}/docker.sock`, "abc")).rejects.toThrow(/ENOENT/);
  });

  it("shows a token neither in its arguments nor in its environment", async () => {
    const guard = await startGuard();
    guard.keepLease(ORDER, () => {});
    await beats(1);
    for (const file of ["cmdline", "environ"])
      expect(readFileSync(`/proc/${guard.pid}/${file}`, "utf8")).not.toContain(TOKEN);
  });

  it("tells of its death once, and refuses new lines after it", async () => {
    const guard = await startGuard();
    const gone = once(guard.lost, "abort");
    process.kill(guard.pid, "SIGKILL");
    await gone;
    expect(guard.status().isAlive).toBe(false);
    await expect(guard.holdPipe(join(folder, "pipe"))).rejects.toThrow(/guard process is gone/);
  });

  it("outlives the signals that are meant for the runner", async () => {
    const guard = await startGuard();
    const news: LeaseNews[] = [];
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.kill(guard.pid, signal);
    guard.keepLease(ORDER, (item) => news.push(item));
    await expect.poll(() => news.map(({ kind }) => kind)).toContain("answered");
    expect(guard.status()).toMatchObject({ isAlive: true, leases: [{ jobId: ORDER.jobId, contact: "held" }] });
  });
});
