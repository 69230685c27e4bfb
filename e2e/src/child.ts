import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { CODE_CACHE } from "@shipfox/shared/code-cache.fixture";

const MAX_OUTPUT_CHARS = 2_000_000;
const STOP_LIMIT_MS = 20_000;
const OUTPUT_LIMIT_MS = 60_000;

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Only what a process needs to find programs; nothing of the test run's own settings reaches it by accident. */
export function bareEnvironment(env: Record<string, string>): Record<string, string> {
  const { PATH = "", HOME = "/" } = process.env;
  return { PATH, HOME, LANG: "C.UTF-8", ...CODE_CACHE, ...env };
}

/** A real process of the product under test, with everything it printed. */
export class Child {
  readonly name: string;
  readonly exited: Promise<ChildExit>;
  readonly #process: ChildProcess;
  readonly #listeners = new Set<() => void>();
  #output = "";

  constructor(name: string, command: string, args: readonly string[], env: Record<string, string>, cwd?: string) {
    this.name = name;
    this.#process = spawn(command, args, { env: bareEnvironment(env), cwd, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => this.#collect(text));
    }
    // `close` and not `exit`: then the last of its output is here as well.
    this.exited = once(this.#process, "close").then(([code, signal]) => ({ code, signal }));
    void this.exited.then(() => this.#tell());
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get output(): string {
    return this.#output;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#process.kill(signal);
  }

  async kill9(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }

  /** SIGTERM, and SIGKILL when that is not heeded in time. */
  async stop(): Promise<ChildExit> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), STOP_LIMIT_MS);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  /** Resolves with the match as soon as the output holds `pattern`; rejects when the process ends without it. */
  async printed(pattern: RegExp, limitMs = OUTPUT_LIMIT_MS): Promise<RegExpExecArray> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const match = pattern.exec(this.#output);
      if (match) return match;
      if (!this.running) await this.exited;
      const last = pattern.exec(this.#output);
      if (last) return last;
      if (!this.running) throw new Error(`${this.name} ended without printing ${pattern}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${this.name} did not print ${pattern} within ${limitMs} ms`);
      await this.#nextOutput(left);
    }
  }

  #nextOutput(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#listeners.delete(done);
        resolve();
      };
      const timer = setTimeout(done, limitMs);
      this.#listeners.add(done);
    });
  }

  #collect(text: string): void {
    this.#output = (this.#output + text).slice(-MAX_OUTPUT_CHARS);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
