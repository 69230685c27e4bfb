import { execa } from "execa";
import { dirname, join } from "node:path";
import { bareEnvironment } from "./child.ts";
import { eventually } from "./eventually.ts";
import { CLI } from "./programs.ts";
import type { Stage } from "./stage.ts";

const TMUX_LIMIT_MS = 30_000;

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A person at a real terminal, which tmux draws: a shell in which `shipfox` is on the PATH. */
export class UserTerminal {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  static async open(stage: Stage, { columns, rows }: TerminalSize): Promise<UserTerminal> {
    const terminal = new UserTerminal(join(await stage.folder("tmux"), "socket"));
    const env = bareEnvironment({
      SHIPFOX_CONFIG_DIR: await stage.folder("config"),
      PS1: "> ",
      LANG: "C.UTF-8",
      TERM: "xterm-256color",
    });
    env.PATH = `${dirname(CLI)}:${env.PATH}`;
    const size = ["-x", String(columns), "-y", String(rows)];
    await terminal.#tmux({ env }, "-u", "-f", "/dev/null", "new-session", "-d", ...size, "sh");
    stage.onEnd(() => terminal.#tmux({}, "kill-server"));
    return terminal;
  }

  /** Types a line and presses Return. */
  async enter(text: string): Promise<void> {
    await this.type(text);
    await this.press("Enter");
  }

  async type(text: string): Promise<void> {
    await this.#tmux({}, "send-keys", "-l", text);
  }

  /** `C-c`, `Enter`. */
  async press(key: string): Promise<void> {
    await this.#tmux({}, "send-keys", key);
  }

  async resize({ columns, rows }: TerminalSize): Promise<void> {
    await this.#tmux({}, "resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** The lines that stand on the terminal now. */
  async lines(): Promise<string[]> {
    return (await this.#tmux({}, "capture-pane", "-p")).split("\n");
  }

  /** Waits until the terminal shows what `pattern` describes; answers its lines. */
  shows(pattern: RegExp): Promise<string[]> {
    let seen: string[] = [];
    return eventually(`the terminal shows ${String(pattern)}`, async () => {
      seen = await this.lines();
      return pattern.test(seen.join("\n")) ? seen : null;
    }).catch((error: unknown) => {
      throw new Error(`it shows:\n${seen.join("\n")}`, { cause: error });
    });
  }

  async #tmux({ env }: { env?: Record<string, string> }, ...args: string[]): Promise<string> {
    const options = { env, extendEnv: env === undefined, timeout: TMUX_LIMIT_MS, stripFinalNewline: true };
    return (await execa("tmux", ["-S", this.#socket, ...args], options)).stdout;
  }
}
