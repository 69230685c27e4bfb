import type { LogRecord } from "@shipfox/shared/log-records";
import { LogText } from "@shipfox/shared/log-text";
import type { FollowSink } from "../follow.ts";
import type { LogEvent } from "../plan-output.ts";
import type { Terminal } from "../terminal.ts";
import { jobPrefixes } from "./follow-text.ts";
import { lastDrawn } from "./log-lines.ts";
import { safeLine } from "./plain-text.ts";

/** A line that does not end is searched in pieces of so many characters. */
const MAX_LINE_CHARS = 64 * 1024;

interface SearchedLog {
  readonly text: LogText;
  readonly echo: Echo;
  rest: string;
}

/**
 * What the runner says before a step prints anything, such as the command and the shell it starts: the first group of the log. A
 * pattern that stands in the command would be found in each run. The whole log of the setup is the runner's, and is left as it is.
 */
class Echo {
  #state: "awaited" | "open" | "over";
  #groupId = "";

  constructor({ step_type: type }: LogEvent) {
    this.#state = type === "setup" ? "over" : "awaited";
  }

  /** What is left without it of the records that follow those given before. */
  without(records: readonly LogRecord[]): LogRecord[] {
    return records.filter((record) => !this.#takes(record));
  }

  #takes(record: LogRecord): boolean {
    if (this.#state === "awaited" && record.type === "group_start") {
      this.#state = "open";
      this.#groupId = record.group_id;
      return true;
    }
    if (this.#state !== "open") return false;
    if (record.type === "group_end" && record.group_id === this.#groupId) this.#state = "over";
    return record.type === "output" || record.type === "group_end";
  }
}

/** Shows only the lines that steps printed and in which `pattern` is found, with `[job]` in front or, when `raw`, as they were written. */
export class GrepSink implements FollowSink {
  readonly #terminal: Terminal;
  readonly #pattern: RegExp;
  readonly #isRaw: boolean;
  readonly #prefix: (job: string) => string;
  readonly #logs = new Map<string, SearchedLog>();
  /** Lines that were shown. */
  found = 0;

  constructor(terminal: Terminal, pattern: RegExp, { raw }: { raw: boolean }) {
    this.#terminal = terminal;
    this.#pattern = new RegExp(pattern.source, "gu");
    this.#isRaw = raw;
    this.#prefix = jobPrefixes(terminal.colors);
  }

  readonly event: FollowSink["event"] = async () => undefined;

  readonly records: FollowSink["records"] = async (log, records) => {
    const searched = this.#open(log);
    const lines = (searched.rest + searched.text.push(searched.echo.without(records))).split("\n");
    searched.rest = lines.pop() ?? "";
    if (searched.rest.length > MAX_LINE_CHARS) {
      lines.push(searched.rest);
      searched.rest = "";
    }
    await this.#show(log, lines);
  };

  readonly logEnded: FollowSink["logEnded"] = async (log) => {
    const { rest } = this.#open(log);
    this.#logs.delete(keyOf(log));
    if (rest !== "") await this.#show(log, [rest]);
  };

  notice(text: string): void {
    this.#terminal.note(this.#terminal.errorColors.yellow(text));
  }

  #open(log: LogEvent): SearchedLog {
    const searched = this.#logs.get(keyOf(log)) ?? { text: new LogText(), echo: new Echo(log), rest: "" };
    this.#logs.set(keyOf(log), searched);
    return searched;
  }

  async #show(log: LogEvent, lines: readonly string[]): Promise<void> {
    const hits = lines.flatMap((line) => this.#hit(log, line) ?? []);
    this.found += hits.length;
    if (hits.length > 0) await this.#terminal.print(hits.join("\n"));
  }

  #hit(log: LogEvent, line: string): string | null {
    const plain = safeLine(lastDrawn(line), { colors: false });
    if (plain.search(this.#pattern) < 0) return null;
    if (this.#isRaw) return line;
    const { colors } = this.#terminal;
    const marked = plain.replace(this.#pattern, (match) => (match === "" ? "" : colors.bold(colors.red(match))));
    return `${this.#prefix(log.job)} ${marked}`;
  }
}

function keyOf({ step_id, attempt }: LogEvent): string {
  return `${step_id}/${attempt}`;
}
