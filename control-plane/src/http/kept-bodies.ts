import type { Reply } from "./route.ts";

/** What a kept body costs beside its bytes. */
const OVERHEAD_BYTES = 500;
/** A body may take so much of the whole: one must not push out all others. */
const LARGEST_SHARE = 1 / 8;

export interface KeptBody<Facts> {
  readonly bytes: Buffer;
  /** By which its owner tells whether it still holds. */
  readonly facts: Facts;
}

/**
 * Bodies of replies that were sent, as bytes, so that what is read again and again is made once. Bounded by size; what was not
 * asked for longest goes first. Whether a body still holds, and who may have it, is for the caller to know.
 */
export class KeptBodies<Facts> {
  readonly #kept = new Map<string, KeptBody<Facts>>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(key: string): KeptBody<Facts> | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept;
  }

  set(key: string, bytes: Buffer, facts: Facts): void {
    this.#remove(key);
    if (sizeOf(bytes) > this.#maxBytes * LARGEST_SHARE) return;
    this.#kept.set(key, { bytes, facts });
    this.#bytes += sizeOf(bytes);
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#remove(oldest);
    }
  }

  deleteWhere(isGone: (facts: Facts) => boolean): void {
    for (const [key, { facts }] of this.#kept) if (isGone(facts)) this.#remove(key);
  }

  #remove(key: string): void {
    const kept = this.#kept.get(key);
    if (kept === undefined) return;
    this.#kept.delete(key);
    this.#bytes -= sizeOf(kept.bytes);
  }
}

/** Sends a body as it is kept. */
export function jsonReply(bytes: Buffer): Reply {
  return { status: 200, headers: { "content-type": "application/json; charset=utf-8" }, body: bytes };
}

function sizeOf(bytes: Buffer): number {
  return bytes.length + OVERHEAD_BYTES;
}
