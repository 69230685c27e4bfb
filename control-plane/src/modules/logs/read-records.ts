import { ApiError } from "@shipfox/shared/errors";
import type { LogPlace, LogStore } from "./log-store.ts";

const NEWLINE = 0x0a;
/** A record longer than a page is read with pages that grow by this factor. */
const GROWTH = 4;

/**
 * Whole records of a log from `cursor`, about `aboutBytes` of them, up to `end`; at least one. `cursor` is below `end`.
 * Throws 400 `invalid-cursor` when it does not stand between two records.
 */
export async function readRecords(
  files: LogStore,
  place: LogPlace,
  { cursor, end, aboutBytes }: { cursor: number; end: number; aboutBytes: number },
): Promise<Buffer> {
  // The byte before tells whether a record starts here.
  const before = cursor === 0 ? 0 : 1;
  for (let size = aboutBytes; ; size *= GROWTH) {
    const wanted = Math.min(size, end - cursor);
    const bytes = await files.read(place, cursor - before, wanted + before);
    if (before === 1 && bytes[0] !== NEWLINE) {
      throw invalidCursor();
    }
    const records = bytes.subarray(before, bytes.lastIndexOf(NEWLINE) + 1);
    if (records.length > 0) return records;
    if (wanted === end - cursor)
      throw new Error(`the file of a log is shorter than ${end} bytes: ${JSON.stringify(place)}`);
  }
}

/** Throws 400 `invalid-cursor` when a cursor up to `end` does not stand between two records. */
export async function requireRecordBoundary(
  files: LogStore,
  place: LogPlace,
  { cursor, end }: { cursor: number; end: number },
): Promise<void> {
  if (cursor === 0 || cursor > end) return;
  const [before] = await files.read(place, cursor - 1, 1);
  if (before !== NEWLINE) throw invalidCursor();
}

function invalidCursor(): ApiError {
  return new ApiError(
    "invalid-cursor",
    "the cursor does not stand between two records; use 0 or a next_cursor of this log",
  );
}
