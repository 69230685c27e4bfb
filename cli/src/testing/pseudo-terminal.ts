import { type ChildProcess, spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";

const COLUMNS = 120;
const ROWS = 40;

/** Before a question that waits for its answer; afterwards it is shown once more, with another mark. */
const ASKING = "◆  ";

/** A person at a pseudo terminal, which `script` of util-linux makes: sees what a command shows, and types. */
export class PseudoTerminal implements Disposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #shown = "";
  /** How much of what was shown has been answered. */
  #answered = 0;
  #look: () => void = () => undefined;
  #hasEnded = false;

  constructor(command: readonly string[], options: { cwd: string; env: NodeJS.ProcessEnv }) {
    const line = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const env = { ...options.env, TERM: "xterm", SHELL: "/bin/sh" };
    // It is made without a size, in which nothing could be asked.
    const sized = `stty cols ${COLUMNS} rows ${ROWS} && exec ${line}`;
    this.#child = spawn("script", ["--quiet", "--return", "--command", sized, "/dev/null"], { ...options, env });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#shown += text;
      this.#look();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("close", (code) => {
        this.#hasEnded = true;
        this.#look();
        resolve(code);
      });
    });
  }

  /** Everything that was shown, without what only moves the cursor. */
  get screen(): string {
    return stripVTControlCharacters(this.#shown);
  }

  /** Waits for a question, types the text and presses Return. Throws when the command ends without having asked. */
  async answer(question: string, text: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#look = () => {
        const { screen } = this;
        if (screen.includes(`${ASKING}${question}`, this.#answered)) {
          this.#answered = screen.length;
          resolve();
        } else if (this.#hasEnded) reject(new Error(`"${question}" was not asked:\n${this.screen}`));
      };
      this.#look();
    });
    this.#child.stdin?.write(`${text}\r`);
  }

  /** The exit code of the command. */
  async finish(): Promise<number | null> {
    return await this.#ended;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
