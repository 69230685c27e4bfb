import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/**
 * How the processes of a machine are found again by a provisioner that did not start them: they work in the machine's folder and
 * carry its path in their environment. Unlike a noted process id this cannot mean another process after a crash or a reboot.
 */
export const MACHINE_VARIABLE = "SHIPFOX_QEMU_MACHINE";

const FIRST_LOOK_MS = 5;
const LONGEST_LOOK_MS = 100;

/** The processes of all machines, by run folder. A process that is over, or not ours to look into, is none. */
export function findMachineProcesses(): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!(pid > 0)) continue;
    const folder = machineOf(pid);
    if (folder !== null) found.set(folder, [...(found.get(folder) ?? []), pid]);
  }
  return found;
}

/**
 * SIGKILL to every process of the machine, each looked at once more right before it; resolves when none is left, rejects when `signal`
 * is aborted first. Nothing is lost by it: the disk goes away as well.
 */
export async function killMachine(runFolder: string, signal: AbortSignal): Promise<void> {
  for (let wait = FIRST_LOOK_MS; ; wait = Math.min(wait * 2, LONGEST_LOOK_MS)) {
    const pids = findMachineProcesses().get(runFolder) ?? [];
    if (pids.length === 0) return;
    for (const pid of pids) if (machineOf(pid) === runFolder) kill(pid);
    // They may be children of another process by now: the kernel tells nobody here of their end.
    await pause(wait, undefined, { signal });
  }
}

function machineOf(pid: number): string | null {
  try {
    const folder = readlinkSync(`/proc/${pid}/cwd`);
    const marked = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`${MACHINE_VARIABLE}=${folder}`);
    return marked ? folder : null;
  } catch {
    return null;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
