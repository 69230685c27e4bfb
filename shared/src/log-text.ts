import type { LogRecord } from "./log-records.ts";

const COUNT = new Intl.NumberFormat("en-US");

type LogMark = Extract<LogRecord, { type: "gap" | "capped" | "runner_lost" }>;

/** What readers show, on a line of its own, where something of a log is missing. */
export function describeLogMark(mark: LogMark): string {
  switch (mark.type) {
    case "gap":
      return `[… ${COUNT.format(mark.dropped_bytes)} bytes were dropped …]`;
    case "capped":
      return "[… the log has reached its limit, what followed was not kept …]";
    case "runner_lost":
      return "[… the runner was lost, the log ends here …]";
  }
}

/** The text of a log, piece by piece: what the step printed, both streams in their order, and the marks of what is missing. */
export class LogText {
  #isLineOpen = false;

  /** The text of the records that follow those pushed before. */
  push(records: readonly LogRecord[]): string {
    let text = "";
    for (const record of records) {
      if (record.type === "output") {
        text += record.data;
        this.#isLineOpen = !record.data.endsWith("\n");
      } else if (record.type === "gap" || record.type === "capped" || record.type === "runner_lost") {
        text += `${this.#isLineOpen ? "\n" : ""}${describeLogMark(record)}\n`;
        this.#isLineOpen = false;
      }
    }
    return text;
  }
}
