/** How much of the log's commands is understood. Lines are at most 16 KiB; longer ones are no commands. */
const MAX_TITLE_CHARS = 200;
const MAX_FILE_CHARS = 500;
const MAX_MESSAGE_CHARS = 4_000;
const MAX_POSITION = 10_000_000;
/** Shorter words could resume by accident. */
const STOP_TOKEN = /^[A-Za-z0-9_-]{6,200}$/;
const STOP = "::stop-commands::";
const LEVELS = { error: "error", warning: "warning", notice: "info" } as const;
const COMMAND = /^::(error|warning|notice)(?: ([^\n]*?))?::([^\n]*)$/;
const STARTS = ["::group::", "::endgroup::", STOP, "::error", "::warning", "::notice"];

/** `::error file=a.ts,line=3,title=Types::message` in a step's output. */
export interface LogRemark {
  style: "error" | "warning" | "info";
  title: string | null;
  file: string | null;
  line: number | null;
  column: number | null;
  message: string;
}

/**
 * Reads the commands in the output of one step attempt. There are only such that show something: whatever a step prints,
 * and it may print foreign text, can change nothing. `::stop-commands::TOKEN` turns all of them off, groups included,
 * until a line that is exactly `::TOKEN::`.
 */
export class LogCommands {
  private readonly keep: (remark: LogRemark) => void;
  private stopToken: string | null = null;

  constructor(keep: (remark: LogRemark) => void) {
    this.keep = keep;
  }

  /** Whether the line, whole and without its end, may open or close a group. Remarks are kept on the way; their line stays in the log. */
  read(line: string): boolean {
    if (this.stopToken !== null) {
      if (line === `::${this.stopToken}::`) this.stopToken = null;
      return false;
    }
    if (line.startsWith(STOP)) {
      const token = line.slice(STOP.length);
      if (STOP_TOKEN.test(token)) this.stopToken = token;
      return false;
    }
    const remark = parseRemark(line);
    if (remark !== null) this.keep(remark);
    return remark === null;
  }

  /** Whether a line that is not yet whole could become a command. */
  mayBecomeCommand(partial: string): boolean {
    const starts = this.stopToken === null ? STARTS : [`::${this.stopToken}::`];
    return starts.some((start) => partial.startsWith(start) || start.startsWith(partial));
  }
}

/** Null when the line is no remark. What is too long is cut. */
export function parseRemark(line: string): LogRemark | null {
  const match = COMMAND.exec(line);
  if (match === null) return null;
  const [, level, properties = "", message = ""] = match;
  const values = parseProperties(properties);
  return {
    style: LEVELS[level as keyof typeof LEVELS],
    title: textOf(values.get("title"), MAX_TITLE_CHARS),
    file: textOf(values.get("file"), MAX_FILE_CHARS),
    line: positionOf(values.get("line")),
    column: positionOf(values.get("col")),
    message: cut(unescape(message, MESSAGE_ESCAPES), MAX_MESSAGE_CHARS),
  };
}

const MESSAGE_ESCAPES = /%(?:25|0D|0A)/gi;
const PROPERTY_ESCAPES = /%(?:25|0D|0A|3A|2C)/gi;

function unescape(text: string, escapes: RegExp): string {
  return text.replace(escapes, (escape) => decodeURIComponent(escape));
}

function parseProperties(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const property of text.split(",")) {
    const equals = property.indexOf("=");
    if (equals === -1) continue;
    values.set(property.slice(0, equals).trim().toLowerCase(), unescape(property.slice(equals + 1), PROPERTY_ESCAPES));
  }
  return values;
}

function textOf(value: string | undefined, maxChars: number): string | null {
  const text = value?.replaceAll(/\s+/g, " ").trim() ?? "";
  return text === "" ? null : cut(text, maxChars);
}

function positionOf(value: string | undefined): number | null {
  const number = Number(value);
  return Number.isInteger(number) && number >= 1 && number <= MAX_POSITION ? number : null;
}

function cut(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars - 1).toWellFormed()}…`;
}
