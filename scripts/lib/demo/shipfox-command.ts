import { type ChildProcess, spawn, type StdioOptions } from "node:child_process";

/** Longest time a command that is not a run may take; creating a project waits for its repository. */
const COMMAND_TIMEOUT_MS = 180_000;
/** HTTP statuses from here on are no refusals. */
const SERVER_FAULT = 500;

export interface ShipfoxCommandOptions {
  readonly command: string;
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
}

/** A command of the `shipfox` CLI that was refused; the message says why. Any other error of a command is a fault of ours. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/** The real `shipfox` command as a child process, in a group of its own so that a Ctrl-C does not reach it before us. */
export class ShipfoxCommand {
  readonly #options: ShipfoxCommandOptions;
  readonly #running = new Set<ChildProcess>();
  #closed = false;

  constructor(options: ShipfoxCommandOptions) {
    this.#options = options;
  }

  /** Runs it with `--json` and returns the document; rejects with Refused. */
  async json<Document>(args: readonly string[], input = ""): Promise<Document> {
    const limit = AbortSignal.timeout(COMMAND_TIMEOUT_MS);
    const { code, stdout, stderr } = await this.#run([...args, "--json"], input, limit);
    if (code === 0) return JSON.parse(stdout) as Document;
    const reason = refusal(stdout);
    if (reason !== null) throw new Refused(reason);
    const late = limit.aborted ? `no answer within ${COMMAND_TIMEOUT_MS / 1000} s` : null;
    throw new Error(`shipfox ${args.join(" ")}: ${late ?? `${stdout}${stderr}`.trim()}`);
  }

  /** Runs it with our own output; resolves with its exit code. */
  async show(args: readonly string[]): Promise<number> {
    const child = this.#start(args, ["ignore", "inherit", "inherit"]);
    const code = await exitCodeOf(child);
    if (code === null) throw new Error(`shipfox ${args[0]} was killed`);
    return code;
  }

  /** Kills what is running and waits for its end; nothing can be started afterwards. */
  async close(): Promise<void> {
    this.#closed = true;
    const ends = [...this.#running].map((child) => {
      child.kill("SIGKILL");
      return exitCodeOf(child).catch(() => null);
    });
    await Promise.all(ends);
  }

  async #run(args: readonly string[], input: string, limit: AbortSignal) {
    const child = this.#start(args, ["pipe", "pipe", "pipe"]);
    const kill = () => child.kill("SIGKILL");
    limit.addEventListener("abort", kill, { once: true });
    const output = { stdout: "", stderr: "" };
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    // A command that fails at once does not read its input.
    child.stdin?.on("error", () => {}).end(input);
    const code = await exitCodeOf(child);
    limit.removeEventListener("abort", kill);
    return { code, ...output };
  }

  #start(args: readonly string[], stdio: StdioOptions): ChildProcess {
    if (this.#closed) throw new Error("the demo is being stopped");
    const { command, env, cwd } = this.#options;
    const child = spawn(command, args, { env, cwd, stdio, detached: true });
    this.#running.add(child);
    child.once("close", () => this.#running.delete(child));
    return child;
  }
}

/** Null for a child that was killed. Resolves when its output has ended too. */
function exitCodeOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
}

/** What `--json` tells about a refusal of the control plane, or about a sync that failed; null for everything else. */
function refusal(stdout: string): string | null {
  let document: {
    error?: { message: string; status?: number };
    sync?: { last_error_message: string | null };
  };
  try {
    document = JSON.parse(stdout) as typeof document;
  } catch {
    return null;
  }
  const { error, sync } = document;
  if (error?.status !== undefined && error.status < SERVER_FAULT) return error.message;
  return sync?.last_error_message ?? null;
}
