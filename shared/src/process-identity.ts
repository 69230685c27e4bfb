import { readFileSync } from "node:fs";

const START_TIME_FIELD = 19;
const ABSENT: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ESRCH"]);
/** Of a zombie only the entry in the kernel's table is left. */
const DEAD: ReadonlySet<string> = new Set(["Z", "X"]);

/** Process id and start time: an id alone may belong to another process by now. Null when there is no such process. */
export function identityOf(pid: number): string | null {
  return look(pid)?.identity ?? null;
}

export function pidOf(identity: string): number {
  return Number.parseInt(identity, 10);
}

/** True while the very process that was noted is there, and no zombie. */
export function isAlive(identity: string): boolean {
  const found = look(pidOf(identity));
  return found !== null && found.identity === identity && !DEAD.has(found.state);
}

function look(pid: number): { identity: string; state: string } | null {
  if (!(pid > 0)) return null;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before it, in parentheses, may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { identity: `${pid} ${fields[START_TIME_FIELD]}`, state: fields[0] ?? "" };
  } catch (error) {
    if (ABSENT.has((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}
