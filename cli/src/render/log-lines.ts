import type { LogRecord } from "@shipfox/shared/log-records";
import { describeLogMark } from "@shipfox/shared/log-text";
import type { Colors } from "../terminal.ts";
import { plainText, safeLine } from "./plain-text.ts";

const INDENT = "  ";
/** A line without an end that grows beyond this is shown in pieces. */
const MAX_PARTIAL_CHARS = 64 * 1024;

/** Turns the records of one log into lines for people: whole lines, groups indented, what is missing said in words. */
export class LogLines {
  readonly #colors: Colors;
  readonly #partial = new Map<string, string>();
  readonly #groups: string[] = [];

  constructor(colors: Colors) {
    this.#colors = colors;
  }

  /** The lines that `record` completes. */
  push(record: LogRecord): string[] {
    switch (record.type) {
      case "output":
        return this.#output(record.stream, record.data);
      case "group_start": {
        const line = this.#line(this.#colors.bold(`▸ ${plainText(record.name)}`));
        this.#groups.push(record.group_id);
        return [...this.flush(), line];
      }
      case "group_end": {
        const lines = this.flush();
        const index = this.#groups.lastIndexOf(record.group_id);
        if (index >= 0) this.#groups.length = index;
        return lines;
      }
      case "gap":
      case "capped":
      case "runner_lost":
        return [...this.flush(), this.#line(this.#colors.yellow(describeLogMark(record)))];
      case "agent_session":
        return [...this.flush(), this.#line(this.#colors.dim(plainText(record.data.trimEnd())))];
      case "end":
        return this.flush();
    }
  }

  /** What is left without a line end. */
  flush(): string[] {
    const lines = [...this.#partial.values()].filter((text) => text !== "").map((text) => this.#outputLine(text));
    this.#partial.clear();
    return lines;
  }

  #output(stream: string, data: string): string[] {
    const parts = ((this.#partial.get(stream) ?? "") + data).split("\n");
    const rest = parts.pop() ?? "";
    if (rest.length > MAX_PARTIAL_CHARS) parts.push(rest);
    this.#partial.set(stream, rest.length > MAX_PARTIAL_CHARS ? "" : rest);
    return parts.map((line) => this.#outputLine(line));
  }

  #outputLine(line: string): string {
    return this.#line(safeLine(lastDrawn(line), { colors: this.#colors.isColorSupported }));
  }

  #line(text: string): string {
    return INDENT.repeat(this.#groups.length) + text;
  }
}

/** Of a progress bar that redraws itself with carriage returns, what stood there last. */
export function lastDrawn(line: string): string {
  if (!line.includes("\r")) return line;
  return line.split("\r").findLast((part) => part !== "") ?? "";
}
