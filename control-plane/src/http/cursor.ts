import { ApiError } from "@shipfox/shared/errors";

/** A keyset cursor: the sort values of the last row of a page, opaque to clients. */
export type Cursor = readonly (string | number)[];

export function encodeCursor(values: Cursor): string {
  return Buffer.from(JSON.stringify(values)).toString("base64url");
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
