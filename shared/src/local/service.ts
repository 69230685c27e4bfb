import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const TAIL_LINES = 20;
/** How a structured log line of level error begins. */
const ERROR_LINE = '{"level":50,';

export interface ServiceOptions {
  readonly name: string;
  readonly command: string;
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  /** Its output goes there. */
  readonly logFile: string;
}

/** One of our daemons as a child process, in a process group of its own so that a Ctrl-C does not reach it before us. */
export class Service {
  readonly name: string;
  readonly logFile: string;
  /** Resolves with how it ended; never rejects. */
  readonly ended: Promise<string>;
  #running = true;
  readonly #child: ChildProcess;

  constructor(options: ServiceOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    const log = openSync(options.logFile, "a", 0o600);
    this.#child = spawn(options.command, [], {
      cwd: options.cwd,
      env: options.env,
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.#running = false;
        resolve(how);
      };
      this.#child.once("error", (error) => end(error.message));
      this.#child.once("exit", (code, signal) => end(signal === null ? `exit code ${code}` : signal));
    });
  }

  get isRunning(): boolean {
    return this.#running;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#running) this.#child.kill(signal);
  }

  /** Asks it to stop, each of `patienceMs` once, then kills its whole process group. */
  async stop(patienceMs: readonly number[], hurry: AbortSignal): Promise<void> {
    for (const milliseconds of patienceMs) {
      if (!this.#running || hurry.aborted) break;
      this.#child.kill("SIGTERM");
      const given = new AbortController();
      const limit = sleep(milliseconds, undefined, { signal: AbortSignal.any([hurry, given.signal]) }).catch(() => {});
      await Promise.race([this.ended, limit]);
      given.abort();
    }
    // Also when it ended by itself: what it started may not have.
    if (this.#child.pid !== undefined) killGroup(this.#child.pid);
    await this.ended;
  }

  /** The last lines of its output. */
  tail(): string {
    return this.#lines().slice(-TAIL_LINES).join("\n");
  }

  /** What it last logged as an error, in words; null when there is none. */
  lastError(): string | null {
    const line = this.#lines().findLast((candidate) => candidate.startsWith(ERROR_LINE));
    if (line === undefined) return null;
    const { msg, error } = JSON.parse(line) as { msg: string; error?: string };
    return error === undefined ? msg : `${msg}: ${error}`;
  }

  #lines(): string[] {
    try {
      return readFileSync(this.logFile, "utf8").trimEnd().split("\n");
    } catch {
      return [];
    }
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
