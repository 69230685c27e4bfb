import type { OutputStream } from "./sandbox.ts";

export interface OutputChunk {
  stream: OutputStream;
  chunk: Buffer;
}

/** How long output is still read after the step's shell ended, for background processes that hold its pipes. */
export const DRAIN_MS = 1000;

/**
 * Hands chunks to `onOutput` one at a time until the source ends, or until it has been waited for `DRAIN_MS` in all after
 * `ended`. Time spent in `onOutput` does not count: a slow reader loses nothing that was already printed.
 * Rejects with what the source or `onOutput` rejects with.
 */
export async function pumpOutput(
  source: AsyncIterable<OutputChunk>,
  ended: Promise<unknown>,
  onOutput: (stream: OutputStream, chunk: Buffer) => void | Promise<void>,
): Promise<void> {
  const iterator = source[Symbol.asyncIterator]();
  const drain = new DrainClock(ended);
  try {
    for (;;) {
      const next = await drain.race(iterator.next());
      if (next === "over" || next.done) return;
      await onOutput(next.value.stream, next.value.chunk);
    }
  } finally {
    drain.stop();
  }
}

/** Runs only while somebody waits in `race`, and only after the step ended. */
class DrainClock {
  #leftMs = DRAIN_MS;
  #hasEnded = false;
  #onEnded: (() => void) | null = null;
  #stopped = false;

  constructor(ended: Promise<unknown>) {
    const settle = () => {
      this.#hasEnded = true;
      if (!this.#stopped) this.#onEnded?.();
    };
    ended.then(settle, settle);
  }

  stop(): void {
    this.#stopped = true;
    this.#onEnded = null;
  }

  async race<T>(next: Promise<T>): Promise<T | "over"> {
    let timer: NodeJS.Timeout | undefined;
    let startedAt = 0;
    const over = new Promise<"over">((resolve) => {
      const arm = () => {
        startedAt = performance.now();
        timer = setTimeout(() => resolve("over"), Math.max(0, this.#leftMs));
      };
      if (this.#hasEnded) arm();
      else this.#onEnded = arm;
    });
    try {
      const winner = await Promise.race([next, over]);
      // The source is about to be torn down by our caller; its late rejection is nobody's news.
      if (winner === "over") next.catch(() => {});
      return winner;
    } finally {
      clearTimeout(timer);
      this.#onEnded = null;
      if (startedAt > 0) this.#leftMs -= performance.now() - startedAt;
    }
  }
}
