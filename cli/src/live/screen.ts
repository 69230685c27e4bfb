/** Sources: ECMA-48 and xterm's control sequences; 2026 is synchronized output, which terminals without it ignore. */
const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const BEGIN_FRAME = "\u001b[?2026h\u001b[H";
const END_OF_LINE = "\u001b[K";
const END_FRAME = "\u001b[J\u001b[?2026l";

/**
 * The whole of a terminal, for a view that is drawn again and again: the alternate screen, so that what stood there before
 * comes back. Every frame is written at once and over the last one, so nothing flickers.
 *
 * `close` gives the terminal back; so do the end of the process and Ctrl-Z, after which `fg` takes it again.
 */
export class Screen implements Disposable {
  readonly #stream: NodeJS.WriteStream;
  readonly #onResize: () => void;
  #isOpen = false;
  #isStopped = false;
  readonly #leave = () => this.#stream.write(LEAVE);
  readonly #onStop = () => {
    // A frame that is due may come before the signal that says to go on.
    this.#isStopped = true;
    this.#leave();
    process.kill(process.pid, "SIGSTOP");
  };
  readonly #onContinue = () => {
    this.#isStopped = false;
    this.#stream.write(ENTER);
    this.#onResize();
  };

  /** `redraw` is called when the terminal has another size, or lost what stood on it. */
  constructor(stream: NodeJS.WriteStream, redraw: () => void) {
    this.#stream = stream;
    this.#onResize = redraw;
  }

  /** What may be drawn upon. The last column stays free: erasing the rest of a line from there would take its last character. */
  get size(): { rows: number; columns: number } {
    return { rows: this.#stream.rows, columns: this.#stream.columns - 1 };
  }

  open(): void {
    this.#isOpen = true;
    this.#stream.write(ENTER);
    this.#stream.on("resize", this.#onResize);
    process.on("exit", this.#leave);
    process.on("SIGTSTP", this.#onStop);
    process.on("SIGCONT", this.#onContinue);
  }

  /** Draws the lines from the top, which must fit. Skipped while the terminal has not taken the last frame yet. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen || this.#isStopped || this.#stream.writableNeedDrain) return;
    this.#stream.write(`${BEGIN_FRAME}${lines.map((line) => `${line}${END_OF_LINE}`).join("\r\n")}${END_FRAME}`);
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stream.off("resize", this.#onResize);
    process.off("exit", this.#leave);
    process.off("SIGTSTP", this.#onStop);
    process.off("SIGCONT", this.#onContinue);
    this.#leave();
  }
}
