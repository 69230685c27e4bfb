import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { findProgramFault } from "@shipfox/shared/program-fault";
import { runProgram } from "@shipfox/shared/run-program";

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
 * Runs an operator's program on the host, as the runner, in an empty folder of its own. Answers what went wrong as the
 * end of a sentence, or null. Never rejects.
 */
export async function runHook(path: string, run: HookRun): Promise<string | null> {
  const fault = await findProgramFault(path);
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
  const timeout = AbortSignal.timeout(run.timeoutMs);
  const { code, signal } = await runProgram(path, {
    cwd,
    env: { PATH: DEFAULT_PATH, HOME: homedir(), LANG: "C.UTF-8", ...run.env },
    signal: AbortSignal.any([run.signal, timeout]),
    onOutput: run.onOutput,
  });
  if (run.signal.aborted) return "was stopped";
  if (timeout.aborted) return `took longer than ${run.timeoutMs / 1000} s`;
  if (code === 0) return null;
  return code === null ? `was killed by ${signal}` : `exited with code ${code}`;
}
