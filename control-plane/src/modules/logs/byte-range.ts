import { ApiError } from "@shipfox/shared/errors";
import type { Reply } from "../../http/route.ts";

/** A part of a text in bytes: from `first` to `last` and including it, or the last `suffix` ones. */
type ByteRange = { readonly first: number; readonly last: number } | { readonly suffix: number };

/** What a header `Range` asks for; null for none, for several parts, and for what is not understood: then the whole is sent. */
export function parseRange(header: string | undefined): ByteRange | null {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "") ?? [];
  if (first !== "") {
    const range = { first: Number(first), last: last === "" ? Number.POSITIVE_INFINITY : Number(last) };
    return range.first <= range.last ? range : null;
  }
  return last === "" ? null : { suffix: Number(last) };
}

/**
 * Answers with a part of a text that is made on reading. It is made twice: once to learn its length, which the answer has to
 * tell. Throws 416 `range-not-satisfiable` for a part behind its end.
 */
export async function replyWithRange(text: () => AsyncIterable<string>, range: ByteRange): Promise<Reply> {
  let length = 0;
  for await (const chunk of text()) length += Buffer.byteLength(chunk);
  const first = "suffix" in range ? Math.max(0, length - range.suffix) : range.first;
  const last = Math.min("suffix" in range ? length - 1 : range.last, length - 1);
  if (first > last) {
    throw new ApiError("range-not-satisfiable", `the text has ${length} bytes`, {
      headers: { "content-range": `bytes */${length}`, "accept-ranges": "bytes" },
    });
  }
  const headers = {
    "accept-ranges": "bytes",
    "content-range": `bytes ${first}-${last}/${length}`,
    "content-length": String(last + 1 - first),
  };
  return { status: 206, headers, chunks: slice(text(), first, last + 1) };
}

/** The bytes from `start` up to `end`. */
async function* slice(chunks: AsyncIterable<string>, start: number, end: number): AsyncGenerator<Buffer> {
  let position = 0;
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk);
    const part = bytes.subarray(Math.max(0, start - position), Math.max(0, end - position));
    position += bytes.length;
    if (part.length > 0) yield part;
    if (position >= end) return;
  }
}
