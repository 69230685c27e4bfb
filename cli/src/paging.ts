import { type Command, InvalidArgumentError, Option } from "commander";
import type { CommandContext, JsonOption } from "./command-context.ts";

const PAGE_SIZE = 100;
const DEFAULT_ROWS = 20;
const MAX_COUNTED_ROWS = 1_000;
/** What `--all` reads at most; the document then still names the next page. */
const MAX_ROWS = 100_000;

export interface PagingOptions extends JsonOption {
  limit: number;
  all?: true;
}

export interface Page<Row> {
  rows: Row[];
  next: string | null;
}

/** Adds `--limit` and `--all` to a command that lists. */
export function withPaging(command: Command): Command {
  return command
    .option("-n, --limit <count>", `how many, up to ${MAX_COUNTED_ROWS}`, parseCount, DEFAULT_ROWS)
    .addOption(new Option("--all", `all of them, up to ${MAX_ROWS}`).conflicts("limit"));
}

/** As many rows as the options of the command ask for. */
export async function readPages<Row>(
  options: PagingOptions,
  read: (page: { limit: number; cursor: string | undefined }) => Promise<Page<Row>>,
): Promise<Page<Row>> {
  return await readRows(options.all ? MAX_ROWS : options.limit, read);
}

/** The first `count` rows of a list, a page at a time; `next` is null when there are no more. */
export async function readRows<Row>(
  count: number,
  read: (page: { limit: number; cursor: string | undefined }) => Promise<Page<Row>>,
): Promise<Page<Row>> {
  const rows: Row[] = [];
  let next: string | null = null;
  do {
    const page = await read({ limit: Math.min(PAGE_SIZE, count - rows.length), cursor: next ?? undefined });
    rows.push(...page.rows);
    next = page.next;
  } while (next !== null && rows.length < count);
  return { rows, next };
}

/** Tells a person that a list goes on; with `--json` the document does. */
export function tellMore({ terminal }: CommandContext, options: JsonOption, next: string | null): void {
  if (next !== null && !options.json)
    terminal.note(terminal.errorColors.dim("There are more: --limit <count> or --all"));
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MAX_COUNTED_ROWS) return count;
  throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_COUNTED_ROWS}.`);
}
