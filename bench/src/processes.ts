import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 5;
const KIB = 1024;

/** Ids of the living processes of this machine, those in containers included, with `text` in one of their arguments. */
export async function processesWith(text: string): Promise<number[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    ids.map(async (id) => {
      const commandLine = await readFile(`/proc/${id}/cmdline`, "utf8").catch(() => "");
      return id !== process.pid && commandLine.includes(text) ? [id] : [];
    }),
  );
  return found.flat();
}

/** The process and everything below it. */
export async function processTree(root: number): Promise<number[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  for (const id of ids) {
    const fields = await statFields(id);
    if (fields !== null) parents.set(id, Number(fields[1]));
  }
  const tree = [root];
  // Grows while it is walked.
  for (const parent of tree) tree.push(...ids.filter((id) => parents.get(id) === parent));
  return tree;
}

/** Resolves when all of them are dead, or zombies; rejects after `timeoutMs`. Looks every 5 ms. */
export async function untilDead(ids: readonly number[], timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  let left = [...ids];
  while (performance.now() < deadline) {
    const states = await Promise.all(left.map(async (id) => (await statFields(id))?.[0] ?? "X"));
    left = left.filter((_, index) => !["X", "Z"].includes(states[index] as string));
    if (left.length === 0) return;
    await sleep(POLL_MS);
  }
  throw new Error(`the processes ${left.join(", ")} are still alive after ${timeoutMs} ms`);
}

export interface Memory {
  /** Pages in memory, also those that it shares with other processes. */
  readonly residentBytes: number;
  /** Pages that are shared count as a part only. */
  readonly proportionalBytes: number;
}

export async function memoryOf(id: number): Promise<Memory> {
  const text = await readFile(`/proc/${id}/smaps_rollup`, "utf8");
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]) * KIB;
  return { residentBytes: bytes("Rss"), proportionalBytes: bytes("Pss") };
}

/** What follows the name in `/proc/<id>/stat`: state, parent, and so on; null when it is gone. */
async function statFields(id: number): Promise<string[] | null> {
  const stat = await readFile(`/proc/${id}/stat`, "utf8").catch(() => null);
  return stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}
