import Table from "cli-table3";
import type { Terminal } from "../terminal.ts";
import { plainText } from "./plain-text.ts";
import { cutToWidth, displayWidth } from "./width.ts";

const GAP = "  ";
const MIN_FLEX_COLUMNS = 8;
const MIN_COLUMNS = 3;

export interface Column<Row> {
  head: string;
  text: (row: Row) => string;
  /** Colours the cell after it was cut to its width. */
  style?: (text: string, row: Row) => string;
  /** The column that is cut first when the table is wider than the terminal. */
  flex?: boolean;
  /** Left out when cutting the flexible ones is not enough: an id of what another column names too. */
  expendable?: boolean;
}

/** A table without lines, cut to the width of the terminal; in a pipe nothing is cut or coloured. */
export function renderTable<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const natural = columns.map((column) => ({
    column,
    width: Math.max(column.head.length, ...rows.map((row) => displayWidth(plainText(column.text(row))))),
  }));
  const shown = fit(natural, terminal.columns);
  const table = new Table({
    head: shown.map(({ column, width }) => terminal.colors.dim(cutToWidth(column.head, width))),
    chars: NO_LINES,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const row of rows) {
    table.push(
      shown.map(({ column, width }) => {
        const text = cutToWidth(plainText(column.text(row)), width);
        return column.style ? column.style(text, row) : text;
      }),
    );
  }
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

interface Sized<Row> {
  readonly column: Column<Row>;
  readonly width: number;
}

/** The columns that are shown and their widths: as they are, else with the flexible ones cut, else without the expendable ones, else all cut. */
function fit<Row>(natural: readonly Sized<Row>[], available: number): readonly Sized<Row>[] {
  const smallest = ({ column, width }: Sized<Row>) => (column.flex ? MIN_FLEX_COLUMNS : width);
  const cut = shrink(natural, available, smallest);
  if (totalOf(cut) <= available) return cut;
  const needed = natural.filter(({ column }) => !column.expendable);
  return shrink(shrink(needed, available, smallest), available, () => MIN_COLUMNS);
}

/** Takes from the widest column, one by one, what is too much; none gets narrower than `minimum` says. */
function shrink<Row>(
  columns: readonly Sized<Row>[],
  available: number,
  minimum: (column: Sized<Row>) => number,
): readonly Sized<Row>[] {
  const widths = columns.map(({ width }) => width);
  for (let excess = totalOf(columns) - available; excess > 0; excess -= 1) {
    const widest = columns
      .map((column, index) => ({ index, spare: (widths[index] ?? 0) - minimum(column), width: widths[index] ?? 0 }))
      .filter(({ spare }) => spare > 0)
      .sort((a, b) => b.width - a.width)[0];
    if (!widest) break;
    widths[widest.index] = widest.width - 1;
  }
  return columns.map(({ column }, index) => ({ column, width: widths[index] ?? 0 }));
}

function totalOf(columns: readonly { readonly width: number }[]): number {
  return columns.reduce((sum, { width }) => sum + width, GAP.length * (columns.length - 1));
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
