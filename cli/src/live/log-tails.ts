import type { LogRecord } from "@shipfox/shared/log-records";
import type { LogEvent } from "../plan-output.ts";
import { LogLines } from "../render/log-lines.ts";
import type { Colors } from "../terminal.ts";

/** Of each log; more is never shown. */
export const TAIL_LINES = 20;
const TAB = "    ";

interface Tail {
  readonly parser: LogLines;
  lines: string[];
}

/** The last lines of the logs that are being followed. */
export class LogTails {
  readonly #colors: Colors;
  readonly #tails = new Map<string, Tail>();

  constructor(colors: Colors) {
    this.#colors = colors;
  }

  push(log: LogEvent, records: readonly LogRecord[]): void {
    const tail = this.#open(log);
    for (const record of records) add(tail, tail.parser.push(record));
  }

  /** What had no line end yet is a line now. */
  end(log: LogEvent): void {
    const tail = this.#tails.get(keyOf(log));
    if (tail) add(tail, tail.parser.flush());
  }

  forget(log: { step_id: string; attempt: number }): void {
    this.#tails.delete(keyOf(log));
  }

  lines(stepId: string, attempt: number): readonly string[] {
    return this.#tails.get(keyOf({ step_id: stepId, attempt }))?.lines ?? [];
  }

  #open(log: LogEvent): Tail {
    const key = keyOf(log);
    const tail = this.#tails.get(key) ?? { parser: new LogLines(this.#colors), lines: [] };
    this.#tails.set(key, tail);
    return tail;
  }
}

function add(tail: Tail, lines: readonly string[]): void {
  tail.lines = [...tail.lines, ...lines.slice(-TAIL_LINES).map((line) => line.replaceAll("\t", TAB))].slice(
    -TAIL_LINES,
  );
}

function keyOf({ step_id, attempt }: { step_id: string; attempt: number }): string {
  return `${step_id}/${attempt}`;
}
