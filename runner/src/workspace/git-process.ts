import { spawn } from "node:child_process";

const MAX_OUTPUT_BYTES = 64 * 1024;
const KILL_AFTER_MS = 2_000;
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A hostile server can announce references without end, or a tree of enormous objects, and git keeps what it reads. */
const DEFAULT_MEMORY_BYTES = 4 * 1024 ** 3;
/** The shell sets the limit and becomes git, so that there is one process to kill. */
const LIMITED = 'ulimit -v $(($1 / 1024)) && shift && exec git "$@"';
/** What a shell answers for a program that is not there. */
const NOT_FOUND_EXIT_CODE = 127;
const MISSING = "git is not installed on the runner's machine; install it, for example with: apt-get install git";

/** Settings that hold for every git that the runner starts: nothing that a repository or a user wrote runs or is asked. */
const SAFE_CONFIG: Readonly<Record<string, string>> = {
  "core.hooksPath": "/dev/null",
  "core.fsmonitor": "false",
  "core.askPass": "",
  "credential.helper": "",
  "gc.auto": "0",
  "maintenance.auto": "false",
  "http.followRedirects": "false",
  "http.lowSpeedLimit": "1000",
  "http.lowSpeedTime": "60",
  "submodule.recurse": "false",
  "advice.detachedHead": "false",
  // Keep git far below its memory limit: map packs piece by piece, stream large files.
  "core.packedGitWindowSize": "32m",
  "core.packedGitLimit": "512m",
  "core.bigFileThreshold": "64m",
};

export interface GitRun {
  args: readonly string[];
  cwd: string;
  /** What it reads on its standard input; nothing without it. */
  input?: string;
  /** Transports it may use, for example `https:ssh`. */
  allowedProtocols: string;
  /** Configuration for this call alone; it travels in the environment, so it may hold a credential. */
  config?: Readonly<Record<string, string>>;
  env?: Readonly<Record<string, string>>;
  timeoutMs: number;
  /** Address space of git and each of its helpers; default 4 GiB. */
  memoryBytes?: number;
  signal: AbortSignal;
}

export interface GitResult {
  exitCode: number | null;
  /** The last 64 KiB. */
  stdout: string;
  stderr: string;
  timedOut: boolean;
}

/** There is no git to run on this machine. */
export class GitMissingError extends Error {
  override readonly name = "GitMissingError";
}

/** Fetches what `refspec` names and nothing beside it; `depth` 0 is all of its history. */
export function fetchArgs(from: string, refspec: string, depth: number): string[] {
  return [
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--update-shallow",
    ...(depth > 0 ? [`--depth=${depth}`] : []),
    "--",
    from,
    refspec,
  ];
}

/** Runs git with an environment made from nothing. Resolves however git ends; rejects with GitMissingError without git. */
export function runGit(run: GitRun): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    // Its own process group: git's helpers for transports and packs must end with it.
    const child = spawn(
      "/bin/sh",
      ["-c", LIMITED, "sh", String(run.memoryBytes ?? DEFAULT_MEMORY_BYTES), ...run.args],
      {
        cwd: run.cwd,
        env: gitEnv(run),
        stdio: ["pipe", "pipe", "pipe"],
        detached: true,
      },
    );
    const stdout = new OutputTail();
    const stderr = new OutputTail();
    let timedOut = false;
    let killTimer: NodeJS.Timeout | undefined;
    const stop = () => {
      signalGroup(child.pid, "SIGTERM");
      killTimer ??= setTimeout(() => signalGroup(child.pid, "SIGKILL"), KILL_AFTER_MS);
    };
    const deadline = setTimeout(() => {
      timedOut = true;
      stop();
    }, run.timeoutMs);
    run.signal.addEventListener("abort", stop, { once: true });
    if (run.signal.aborted) stop();
    // One that ends before it has read everything is told by its exit code.
    child.stdin.on("error", () => {}).end(run.input);
    child.stdout.on("data", (chunk: Buffer) => stdout.add(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.add(chunk));
    const settle = () => {
      clearTimeout(deadline);
      clearTimeout(killTimer);
      run.signal.removeEventListener("abort", stop);
    };
    child.on("error", (error) => {
      settle();
      reject(error);
    });
    child.on("close", (exitCode) => {
      settle();
      if (exitCode === NOT_FOUND_EXIT_CODE) return reject(new GitMissingError(MISSING));
      resolve({ exitCode, stdout: stdout.text(), stderr: stderr.text(), timedOut });
    });
  });
}

function gitEnv(run: GitRun): Record<string, string> {
  const env: Record<string, string> = {
    PATH: process.env["PATH"] ?? SYSTEM_PATH,
    HOME: "/nonexistent",
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_SYSTEM: "/dev/null",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ALLOW_PROTOCOL: run.allowedProtocols,
    GIT_PROTOCOL_FROM_USER: "0",
    ...run.env,
  };
  const entries = Object.entries({ ...SAFE_CONFIG, ...run.config });
  env["GIT_CONFIG_COUNT"] = String(entries.length);
  for (const [index, [key, value]] of entries.entries()) {
    env[`GIT_CONFIG_KEY_${index}`] = key;
    env[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  return env;
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // Already gone.
  }
}

class OutputTail {
  private readonly chunks: Buffer[] = [];
  private bytes = 0;

  add(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.bytes += chunk.length;
    while (this.bytes - (this.chunks[0]?.length ?? 0) >= MAX_OUTPUT_BYTES)
      this.bytes -= this.chunks.shift()?.length ?? 0;
  }

  text(): string {
    return Buffer.concat(this.chunks).subarray(-MAX_OUTPUT_BYTES).toString("utf8");
  }
}
