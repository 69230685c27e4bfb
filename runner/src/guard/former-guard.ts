import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@shipfox/shared/logger";
import { identityOf, isAlive, pidOf } from "@shipfox/shared/process-identity";
import { signalAll } from "../sandbox/host/marked-processes.ts";
import { StateFolderError } from "../state-folder.ts";

const DEATH_LIMIT_MS = 10_000;
const POLL_MS = 20;

/** Notes in `file`, for the next start of the runner, which process its guard is. */
export function noteGuard(file: string, pid: number): void {
  // Replaced, not written over: it may have been left with another mode.
  rmSync(file, { force: true });
  writeFileSync(file, `${bootId()}\n${identityOf(pid) ?? ""}\n`, { flag: "wx", mode: 0o600 });
}

/**
 * Kills the guard that `file` tells of when it is still there: one that was frozen did not see its runner die, and keeps jobs
 * alive. Rejects when it does not die.
 */
export async function endFormerGuard(file: string, logger: Logger): Promise<void> {
  const [boot, identity = ""] = readNote(file).split("\n");
  if (boot !== bootId() || !isAlive(identity)) return;
  const pid = pidOf(identity);
  logger.warn({ guard_pid: pid }, "the guard of an earlier run is still there: killing it and what it holds");
  signalAll([pid], "SIGKILL");
  const started = performance.now();
  while (isAlive(identity)) {
    if (performance.now() - started > DEATH_LIMIT_MS) {
      throw new StateFolderError(
        `The guard of an earlier run (process ${pid}) does not die, so its jobs may go on; look at the machine's disks, or restart it.`,
      );
    }
    await sleep(POLL_MS);
  }
}

/** After a restart of the machine the same process id may come with the same start time. */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "unknown";
  }
}

function readNote(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
