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
  rest: string;
}

/** Shows only the lines of logs in which `pattern` is found, with `[job]` in front or, when `raw`, as they were written. */
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
    const lines = (searched.rest + searched.text.push(records)).split("\n");
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
    const searched = this.#logs.get(keyOf(log)) ?? { text: new LogText(), rest: "" };
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
