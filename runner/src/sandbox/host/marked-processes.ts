import { randomUUID } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { identityOf, isAlive, pidOf } from "@shipfox/shared/process-identity";

/** In the environment of a namespace's first process, and without namespaces of all that does not take care to lose it. */
const MARKER = "SHIPFOX_SANDBOX_ID";
const KILL_LIMIT_MS = 10_000;
const KILL_PAUSE_MS = 50;

/** What the marks of all jobs of a runner begin with. */
export function markOfRunner(runnerId: string): string {
  return `${MARKER}=${runnerId}.`;
}

/** The mark, as NAME=value, of one more job of a runner. */
export function newMark(runnerId: string): string {
  return `${markOfRunner(runnerId)}${randomUUID()}`;
}

/** Kills again and again until all that were found are dead, or for 10 s. Resolves with those that are left. */
export async function killMarked(mark: string): Promise<number[]> {
  const started = performance.now();
  // One that is dying has no environment any more, and the first process of a namespace takes all others along meanwhile.
  const seen = new Set<string>();
  for (;;) {
    const pids = await findMarked(mark);
    for (const pid of pids) seen.add(identityOf(pid) ?? "");
    const alive = [...seen].filter(isAlive);
    if (alive.length === 0 || performance.now() - started > KILL_LIMIT_MS) return alive.map(pidOf);
    signalAll(pids, "SIGKILL");
    await sleep(KILL_PAUSE_MS);
  }
}

/**
 * The living processes whose environment has an entry that begins with `mark`, and what descends from one that has it. One that
 * empties its environment and leaves its parent is not found; of another user's only what the kernel shows us.
 */
export async function findMarked(mark: string): Promise<number[]> {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const processes = (await Promise.all(names.map((name) => look(Number(name), mark)))).filter(
    (found) => found !== null,
  );
  const members = new Set(processes.filter((found) => found.isMarked).map((found) => found.pid));
  for (let grown = true; grown; ) {
    const more = processes.filter((found) => !members.has(found.pid) && members.has(found.parent));
    for (const found of more) members.add(found.pid);
    grown = more.length > 0;
  }
  return [...members];
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Gone since we looked.
    }
  }
}

/** One letter, as the kernel tells it; null for what is gone. */
export async function processState(pid: number): Promise<string | null> {
  return (await readStat(pid).catch(() => null))?.state ?? null;
}

async function readStat(pid: number): Promise<{ state: string; parent: number }> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state, parent: Number(parent) };
}

/** Null for what is gone, a zombie, or not ours to see. */
async function look(pid: number, mark: string): Promise<{ pid: number; parent: number; isMarked: boolean } | null> {
  try {
    const { state, parent } = await readStat(pid);
    if (state === "Z" || state === "X" || pid === process.pid) return null;
    const environ = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
    return { pid, parent, isMarked: environ.split("\0").some((entry) => entry.startsWith(mark)) };
  } catch {
    return null;
  }
}
