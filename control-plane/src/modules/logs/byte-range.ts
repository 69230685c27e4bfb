import { type ByteRange, partOf } from "../../http/byte-range.ts";
import type { Reply } from "../../http/route.ts";

/**
 * Answers with a part of a text that is made on reading. It is made twice: once to learn its length, which the answer has to
 * tell. Throws 416 `range-not-satisfiable` for a part behind its end.
 */
export async function replyWithRange(text: () => AsyncIterable<string>, range: ByteRange): Promise<Reply> {
  let length = 0;
  for await (const chunk of text()) length += Buffer.byteLength(chunk);
  const { first, last, headers } = partOf(range, length);
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
