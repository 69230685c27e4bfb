import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** From SIGTERM to SIGKILL. */
const GRACE_MS = 5_000;
/** What background processes still print is read for so long. */
const DRAIN_MS = 1_000;

export interface ProgramRun {
  args?: readonly string[];
  cwd: string;
  /** All of its environment. */
  env: Readonly<Record<string, string>>;
  /** For its standard input; empty without it. */
  input?: string;
  /** Abort ends it with its process group: SIGTERM, and SIGKILL to what is left after `graceMs`. */
  signal: AbortSignal;
  /** Milliseconds; default 5 s. */
  graceMs?: number;
  onOutput: (stream: "stdout" | "stderr", chunk: Buffer) => void;
}

/** One of the two is null. */
export interface ProgramEnd {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Runs a program in a process group of its own. Resolves however it ends; rejects when it could not be started. */
export async function runProgram(path: string, run: ProgramRun): Promise<ProgramEnd> {
  const child = spawn(path, run.args ?? [], { cwd: run.cwd, env: run.env, stdio: "pipe", detached: true });
  // One that ends before it has read everything is told by its exit code.
  child.stdin.on("error", () => {}).end(run.input);
  child.stdout.on("data", (chunk: Buffer) => run.onOutput("stdout", chunk));
  child.stderr.on("data", (chunk: Buffer) => run.onOutput("stderr", chunk));
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const release = endOnAbort(child, run.signal, run.graceMs ?? GRACE_MS);
  try {
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    await Promise.race([closed, pause(DRAIN_MS)]);
    return { code, signal };
  } finally {
    release();
    child.stdout.destroy();
    child.stderr.destroy();
  }
}

/** The result takes the watch off. */
function endOnAbort(child: ChildProcess, signal: AbortSignal, graceMs: number): () => void {
  let timer: NodeJS.Timeout | undefined;
  const onAbort = () => {
    killGroup(child, "SIGTERM");
    timer = setTimeout(() => killGroup(child, "SIGKILL"), graceMs);
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
