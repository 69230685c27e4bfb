import { execa } from "execa";
import { bareEnvironment } from "./child.ts";
import { CLI } from "./programs.ts";
import type { Stage } from "./stage.ts";

const COMMAND_LIMIT_MS = 60_000;

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The `shipfox` command as one user runs it, with a folder of its own for credentials. */
export class Cli {
  readonly #env: Record<string, string>;

  private constructor(env: Record<string, string>) {
    this.#env = env;
  }

  static async create(stage: Stage, env: Record<string, string> = {}): Promise<Cli> {
    return new Cli(bareEnvironment({ SHIPFOX_CONFIG_DIR: await stage.folder("config"), ...env }));
  }

  run(...args: string[]): Promise<CliResult> {
    return this.runWith({}, ...args);
  }

  async runWith(
    options: { input?: string; cwd?: string; env?: Record<string, string> },
    ...args: string[]
  ): Promise<CliResult> {
    const { exitCode, stdout, stderr } = await execa(CLI, args, {
      ...options,
      env: { ...this.#env, ...options.env },
      extendEnv: false,
      reject: false,
      timeout: COMMAND_LIMIT_MS,
    });
    return { code: exitCode ?? -1, stdout, stderr };
  }

  /** Runs a command that must succeed; answers its JSON. */
  async json(...args: string[]): Promise<unknown> {
    const { code, stdout, stderr } = await this.run(...args, "--json");
    if (code !== 0) throw new Error(`shipfox ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
    return JSON.parse(stdout);
  }
}
