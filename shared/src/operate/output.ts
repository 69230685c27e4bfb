import { styleText } from "node:util";

export type Color = "green" | "yellow" | "red" | "cyan" | "dim" | "bold";

/** What a command writes to. Colours follow NO_COLOR, FORCE_COLOR and whether standard output is a terminal. */
export interface Output {
  readonly isTerminal: boolean;
  /** One line, or several, on standard output. */
  print(text: string): void;
  /** One line on standard error: hints and errors, never data. */
  note(text: string): void;
  color(color: Color, text: string): string;
}

export const processOutput: Output = {
  isTerminal: process.stdout.isTTY === true,
  print: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
  color: (color, text) => styleText(color, text, { stream: process.stdout, validateStream: true }),
};

const GAP = "  ";
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]+/g;

export interface Cell {
  readonly text: string;
  readonly color?: Color;
}

/** A table without lines; `head` is dim. Text of strangers cannot move the cursor: control characters become a space. */
export function renderTable(output: Output, head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cleaned = rows.map((row) => row.map((cell) => ({ ...cell, text: oneLine(cell.text) })));
  const widths = head.map((title, column) =>
    Math.max(title.length, ...cleaned.map((row) => row[column]?.text.length ?? 0)),
  );
  const line = (cells: readonly Cell[]) =>
    cells
      .map(({ text, color }, column) => {
        const isLast = column === cells.length - 1;
        const padding = " ".repeat(isLast ? 0 : Math.max(0, (widths[column] ?? 0) - text.length));
        return `${color === undefined ? text : output.color(color, text)}${padding}`;
      })
      .join(GAP);
  return [head.map((text) => ({ text, color: "dim" as const })), ...cleaned].map(line).join("\n");
}

export function oneLine(text: string): string {
  return text.replaceAll(CONTROL_CHARACTERS, " ").trim();
}

const MINUTE_S = 60;
const HOUR_S = 60 * MINUTE_S;
const DAY_S = 24 * HOUR_S;

/** `3d 4h`, `2h 5m`, `1m 7s`, `9s`. */
export function formatSeconds(total: number): string {
  const seconds = Math.max(0, Math.round(total));
  if (seconds >= DAY_S) return `${Math.floor(seconds / DAY_S)}d ${Math.floor((seconds % DAY_S) / HOUR_S)}h`;
  if (seconds >= HOUR_S) return `${Math.floor(seconds / HOUR_S)}h ${Math.floor((seconds % HOUR_S) / MINUTE_S)}m`;
  if (seconds >= MINUTE_S) return `${Math.floor(seconds / MINUTE_S)}m ${seconds % MINUTE_S}s`;
  return `${seconds}s`;
}

/** How long ago a timestamp was. */
export function ago(timestamp: string, now: number): string {
  return formatSeconds((now - Date.parse(timestamp)) / 1000);
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
