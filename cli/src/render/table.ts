import Table from "cli-table3";
import type { Terminal } from "../terminal.ts";
import { plainText } from "./plain-text.ts";

const GAP = "  ";
const MIN_FLEX_CHARS = 8;

export interface Column<Row> {
  head: string;
  text: (row: Row) => string;
  /** Colours the cell after it was cut to its width. */
  style?: (text: string, row: Row) => string;
  /** The column that is cut when the table is wider than the terminal. */
  flex?: boolean;
}

/** A table without lines, cut to the width of the terminal; in a pipe nothing is cut or coloured. */
export function renderTable<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => plainText(column.text(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.head.length, ...cells.map((line) => line[index]?.length ?? 0)),
  );
  const excess = widths.reduce((sum, width) => sum + width, GAP.length * (columns.length - 1)) - terminal.columns;
  const table = new Table({
    head: columns.map((column) => terminal.colors.dim(column.head)),
    chars: NO_LINES,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  rows.forEach((row, rowIndex) => {
    table.push(
      columns.map((column, index) => {
        const width = widths[index] ?? 0;
        const limit = column.flex && excess > 0 ? Math.max(MIN_FLEX_CHARS, width - excess) : width;
        const text = cut(cells[rowIndex]?.[index] ?? "", limit);
        return column.style ? column.style(text, row) : text;
      }),
    );
  });
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

const NO_LINES = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: GAP,
};
