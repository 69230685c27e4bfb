import { encodeCursor } from "../../http/cursor.ts";

/** Cuts a list that was read one longer than its page. */
export function pageOf<Row extends { created_at: number; id: string }>(
  rows: readonly Row[],
  limit: number,
): { items: Row[]; next_cursor: string | null } {
  const items = rows.slice(0, limit);
  const last = rows.length > limit ? items.at(-1) : undefined;
  return { items, next_cursor: last ? encodeCursor([last.created_at, last.id]) : null };
}
