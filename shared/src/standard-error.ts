import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";

const STANDARD_ERROR = 2;
/** How soon a reader that has fallen behind is tried again. */
const RETRY_MS = 20;
/** How long a process that ends waits for a reader that has fallen behind. */
const END_LIMIT_MS = 500;

/**
 * Lines for a reader that may stall: written at once while it reads, kept up to a limit while it does not, and left out with
 * more. Never blocks, neither the caller nor a thread of the pool, whose blocked write would keep the process from its end.
 */
export class StallSafeLines {
  readonly #fd: number;
  #target: number | null = null;
  /** What is being written; the rest of it when the reader took a part. */
  #head: Buffer = Buffer.alloc(0);
  #tail: string[] = [];
  #waitingBytes = 0;
  #isStalled = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** False when it was left out, because more than `maxWaitingBytes` wait already. */
  write(line: string, maxWaitingBytes: number): boolean {
    if (this.#waitingBytes > maxWaitingBytes) return false;
    this.#tail.push(line);
    this.#waitingBytes += Buffer.byteLength(line);
    if (!this.#isStalled) this.#drain();
    return true;
  }

  /** Waits for the reader, no longer than the limit. For a process that ends. */
  flush(limitMs: number = END_LIMIT_MS): void {
    const until = performance.now() + limitMs;
    const nothing = new Int32Array(new SharedArrayBuffer(4));
    for (this.#drain(); this.#waitingBytes > 0 && performance.now() < until; this.#drain())
      Atomics.wait(nothing, 0, 0, RETRY_MS);
  }

  close(): void {
    if (this.#target !== null && this.#target !== this.#fd) closeSync(this.#target);
    this.#target = null;
  }

  #drain(): void {
    this.#target ??= withoutBlocking(this.#fd);
    try {
      while (this.#waitingBytes > 0) {
        if (this.#head.length === 0) {
          this.#head = Buffer.from(this.#tail.join(""));
          this.#tail = [];
        }
        const written = writeSync(this.#target, this.#head);
        this.#head = this.#head.subarray(written);
        this.#waitingBytes = Math.max(0, this.#waitingBytes - written);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return this.#tryLater();
      // Whoever read has gone, or the disk is full: there is nobody to tell.
      this.#head = Buffer.alloc(0);
      this.#tail = [];
      this.#waitingBytes = 0;
    }
  }

  #tryLater(): void {
    if (this.#isStalled) return;
    this.#isStalled = true;
    setTimeout(() => {
      this.#isStalled = false;
      this.#drain();
    }, RETRY_MS).unref();
  }
}

/**
 * A descriptor of the same pipe, socket or terminal on which a write that would block fails instead. Files are written as
 * they are.
 */
function withoutBlocking(fd: number): number {
  const stat = fstatSync(fd);
  if (stat.isFile()) return fd;
  try {
    // Opened anew, so that whoever shares the descriptor is not surprised.
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // Sockets cannot be opened, nor what belongs to another user: Node's own stream changes the descriptor itself.
    if (fd === STANDARD_ERROR) void process.stderr;
    return fd;
  }
}

let lines: StallSafeLines | null = null;

/** That of the process: whatever writes lines there must do it in one place, so that none is torn by another. */
export function standardError(): StallSafeLines {
  if (lines === null) {
    const made = new StallSafeLines(STANDARD_ERROR);
    process.on("exit", () => made.flush());
    lines = made;
  }
  return lines;
}
