import { ApiError } from "@shipfox/shared/errors";

/** A keyset cursor: the sort values of the last row of a page, opaque to clients. */
export type Cursor = readonly (string | number)[];

export function encodeCursor(values: Cursor): string {
  return Buffer.from(JSON.stringify(values)).toString("base64url");
}

/** Cuts what was read one row longer than its page; `keyOf` tells by which values a row is sorted. */
export function pageOf<Row>(
  rows: readonly Row[],
  limit: number,
  keyOf: (row: Row) => Cursor,
): { page: Row[]; nextCursor: string | null } {
  const page = rows.slice(0, limit);
  const last = rows.length > limit ? page.at(-1) : undefined;
  return { page, nextCursor: last === undefined ? null : encodeCursor(keyOf(last)) };
}

/** The order of lists that are sorted by the time a thing was made. */
export function byCreation(row: { created_at: number; id: string }): Cursor {
  return [row.created_at, row.id];
}

/** Throws 400 `invalid-cursor` unless `text` is a cursor of these types, in this order. */
export function decodeCursor<const Types extends readonly ("string" | "number")[]>(
  text: string,
  types: Types,
): { [Index in keyof Types]: Types[Index] extends "string" ? string : number } {
  let values: unknown;
  try {
    values = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    values = null;
  }
  if (
    !Array.isArray(values) ||
    values.length !== types.length ||
    !types.every(
      (type, index) => typeof values[index] === type && (type === "string" || Number.isSafeInteger(values[index])),
    )
  ) {
    throw new ApiError("invalid-cursor", "the cursor is not one of this list; start again without it");
  }
  return values as { [Index in keyof Types]: Types[Index] extends "string" ? string : number };
}
