import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CODE_CACHE } from "@shipfox/shared/code-cache.fixture";
import { nameOfHost } from "../contexts.ts";
import { CredentialsStore } from "../credentials.ts";
import { PseudoTerminal } from "./pseudo-terminal.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A home of its own for one test: its credentials and its working folder. */
export class CliHome implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<CliHome> {
    return new CliHome(await mkdtemp(join(tmpdir(), "shipfox-cli-")));
  }

  get store(): CredentialsStore {
    return new CredentialsStore(join(this.directory, "config"));
  }

  async signIn(url: string, tokens: { access?: string; refresh?: string } = {}): Promise<void> {
    await this.store.update((file) => {
      const { access = "access-1", refresh = "refresh-1" } = tokens;
      const name = nameOfHost(url);
      file.current = name;
      file.contexts[name] = { url, email: "ada@example.com", access_token: access, refresh_token: refresh };
    });
  }

  start(args: string[], env: Record<string, string> = {}): ChildProcess {
    return spawn(process.execPath, [MAIN, ...args], { cwd: this.directory, env: this.#environment(env) });
  }

  startOnTerminal(args: string[], env: Record<string, string> = {}): PseudoTerminal {
    const options = { cwd: this.directory, env: this.#environment(env) };
    return new PseudoTerminal([process.execPath, MAIN, ...args], options);
  }

  async run(args: string[], options: { env?: Record<string, string>; stdin?: string } = {}): Promise<CliResult> {
    const child = this.start(args, options.env);
    child.stdin?.end(options.stdin ?? "");
    return await finish(child);
  }

  #environment(env: Record<string, string>): NodeJS.ProcessEnv {
    return { PATH: process.env.PATH, ...CODE_CACHE, SHIPFOX_CONFIG_DIR: join(this.directory, "config"), ...env };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

export async function finish(child: ChildProcess): Promise<CliResult> {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, stdout, stderr };
}
