import type { Output } from "./output.ts";

/** One line on a terminal that is written over; elsewhere a line whenever what it says has changed. */
export class ProgressLine {
  private readonly output: Output;
  private lastMark = "";
  private isOpen = false;

  constructor(output: Output) {
    this.output = output;
  }

  /** `mark` stands for what is said without what only counts time. */
  show(text: string, mark: string): void {
    if (!this.output.isTerminal && mark === this.lastMark) return;
    this.lastMark = mark;
    if (this.output.isTerminal) process.stdout.write(`\r\u001b[K${text}`);
    else this.output.print(text);
    this.isOpen = this.output.isTerminal;
  }

  /** A line that stays. */
  say(text: string): void {
    if (this.isOpen) process.stdout.write("\r\u001b[K");
    this.isOpen = false;
    this.output.print(text);
  }

  /** Lets others write on a line of their own. */
  finish(): void {
    if (this.isOpen) process.stdout.write("\n");
    this.isOpen = false;
  }
}
