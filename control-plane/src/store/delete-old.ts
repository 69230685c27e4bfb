import type { Store, Tx, WriteTx } from "./store.ts";

/** A table of which rows are deleted when they are older than `keptMs`. */
export interface Aged {
  /** Null for ever. */
  readonly keptMs: number | null;
  /** Rows that one transaction deletes. */
  readonly batch: number;
  /** Deletes the oldest rows from `until` or before, at most `limit`, and answers how many these were. */
  readonly remove: (tx: WriteTx, until: number, limit: number) => Promise<number>;
  /** The time of the oldest row; null without one. */
  readonly oldest: (tx: Tx) => Promise<number | null>;
}

/** Deletes one batch, and answers when to call again; null when there is nothing left to get old. */
export async function deleteOld(
  store: Store,
  { keptMs, batch, remove, oldest }: Aged,
  now: number,
): Promise<number | null> {
  if (keptMs === null) return null;
  if ((await store.write((tx) => remove(tx, now - keptMs, batch))) === batch) return now;
  const first = await store.read(oldest);
  return first === null ? null : first + keptMs;
}
