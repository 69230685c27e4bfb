/** Keeps the end of what a program prints until somebody takes it. */
export class OutputTail {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #droppedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    const kept = chunk.subarray(-this.#maxBytes);
    this.#droppedBytes += chunk.length - kept.length;
    this.#chunks.push(Buffer.from(kept));
    this.#bytes += kept.length;
    while (this.#bytes > this.#maxBytes) {
      const [first = Buffer.alloc(0)] = this.#chunks;
      const excess = Math.min(first.length, this.#bytes - this.#maxBytes);
      if (excess === first.length) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(excess);
      this.#bytes -= excess;
      this.#droppedBytes += excess;
    }
  }

  /** The lines since the last call; the first says how much is missing before the others. */
  take(): string[] {
    const lines = this.#lines();
    if (this.#droppedBytes > 0) lines.unshift(`… ${this.#droppedBytes} bytes are left out`);
    this.#chunks = [];
    this.#bytes = 0;
    this.#droppedBytes = 0;
    return lines;
  }

  /** The last lines, which stay. */
  last(count: number): string[] {
    return this.#lines().slice(-count);
  }

  #lines(): string[] {
    const text = Buffer.concat(this.#chunks).toString("utf8");
    return text === "" ? [] : text.replace(/\r?\n$/, "").split(/\r?\n/);
  }
}
