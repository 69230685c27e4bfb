import { ApiError } from "@shipfox/shared/errors";

/** A part of something in bytes: from `first` to `last` and including it, or the last `suffix` ones. */
export type ByteRange = { readonly first: number; readonly last: number } | { readonly suffix: number };

/** What a header `Range` asks for; null for none, for several parts, and for what is not understood: then the whole is sent. */
export function parseRange(header: string | undefined): ByteRange | null {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "") ?? [];
  if (first !== "") {
    const range = { first: Number(first), last: last === "" ? Number.POSITIVE_INFINITY : Number(last) };
    return range.first <= range.last ? range : null;
  }
  return last === "" ? null : { suffix: Number(last) };
}

/** The part of `length` bytes that a range means, with the headers of the answer. Throws 416 `range-not-satisfiable`. */
export function partOf(
  range: ByteRange,
  length: number,
): { first: number; last: number; headers: Record<string, string> } {
  const first = "suffix" in range ? Math.max(0, length - range.suffix) : range.first;
  const last = Math.min("suffix" in range ? length - 1 : range.last, length - 1);
  if (first > last) {
    throw new ApiError("range-not-satisfiable", `there are ${length} bytes`, {
      headers: { "content-range": `bytes */${length}`, "accept-ranges": "bytes" },
    });
  }
  const headers = {
    "accept-ranges": "bytes",
    "content-range": `bytes ${first}-${last}/${length}`,
    "content-length": String(last + 1 - first),
  };
  return { first, last, headers };
}
