import { readFile, readdir } from "node:fs/promises";

/**
 * The living processes that have `mark`, as NAME=value, in their environment, and what descends from one that has it. One that
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
    return { pid, parent, isMarked: environ.split("\0").includes(mark) };
  } catch {
    return null;
  }
}
