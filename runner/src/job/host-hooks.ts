import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { access, mkdtemp, realpath, rm, stat } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { currentUser } from "../sandbox/job-user.ts";

/** From SIGTERM to SIGKILL of a hook that takes too long. */
const GRACE_MS = 5_000;
/** What background processes of a hook still print is read for so long. */
const DRAIN_MS = 1_000;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface HookRun {
  /** Added to PATH, HOME and LANG; nothing of the runner's environment gets in. */
  env: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** Abort ends the hook. */
  signal: AbortSignal;
  onOutput: (stream: "stdout" | "stderr", chunk: Buffer) => void;
}

/**
 * Why a file may not be run as the runner, or null: it has to be an executable that only root and the runner's user can
 * change, and so has every folder on the way to it.
 */
export async function findHookFault(path: string): Promise<string | null> {
  if (!isAbsolute(path)) return `${path} is not an absolute path`;
  try {
    const file = await realpath(path);
    if (!(await stat(file)).isFile()) return `${path} is not a file`;
    for (let place = file; ; place = dirname(place)) {
      const { uid, mode } = await stat(place);
      if (uid !== 0 && uid !== currentUser().uid) return `${place} belongs to user ${uid}`;
      // In a sticky folder others can add files but not replace ours.
      const isShared = (mode & WRITABLE_BY_OTHERS) !== 0 && (place === file || (mode & STICKY) === 0);
      if (isShared) return `${place} can be written by others`;
      if (place === dirname(place)) break;
    }
    await access(file, constants.X_OK);
    return null;
  } catch (error) {
    return `${path} cannot be run: ${(error as Error).message}`;
  }
}

/**
 * Runs an operator's program on the host, as the runner, in an empty folder of its own. Answers what went wrong as the
 * end of a sentence, or null. Never rejects.
 */
export async function runHook(path: string, run: HookRun): Promise<string | null> {
  const fault = await findHookFault(path);
  if (fault !== null) return `was not started: ${fault}`;
  let folder: string | null = null;
  try {
    folder = await mkdtemp(join(tmpdir(), "shipfox-hook-"));
    return await runIn(folder, path, run);
  } catch (error) {
    return `could not be started: ${(error as Error).message}`;
  } finally {
    if (folder !== null) await rm(folder, { recursive: true, force: true }).catch(() => {});
  }
}

async function runIn(cwd: string, path: string, run: HookRun): Promise<string | null> {
  const child = spawn(path, [], {
    cwd,
    env: { PATH: DEFAULT_PATH, HOME: homedir(), LANG: "C.UTF-8", ...run.env },
    stdio: ["ignore", "pipe", "pipe"],
    // A process group of its own, so that all of it can be ended.
    detached: true,
  });
  child.stdout?.on("data", (chunk: Buffer) => run.onOutput("stdout", chunk));
  child.stderr?.on("data", (chunk: Buffer) => run.onOutput("stderr", chunk));
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const timeout = AbortSignal.timeout(run.timeoutMs);
  const release = endOnAbort(child, AbortSignal.any([run.signal, timeout]));
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    await Promise.race([closed, pause(DRAIN_MS)]);
    if (run.signal.aborted) return "was stopped";
    if (timeout.aborted) return `took longer than ${run.timeoutMs / 1000} s`;
    if (code === 0) return null;
    return code === null ? `was killed by ${signal}` : `exited with code ${code}`;
  } finally {
    release();
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

/** SIGTERM, then SIGKILL to the group. The result takes the watch off. */
function endOnAbort(child: ChildProcess, signal: AbortSignal): () => void {
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    killGroup(child, "SIGTERM");
    timer = setTimeout(() => killGroup(child, "SIGKILL"), GRACE_MS);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    // Whoever heeded SIGTERM may have left children that did not.
    if (signal.aborted) killGroup(child, "SIGKILL");
  };
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // Nobody of the group is left.
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
