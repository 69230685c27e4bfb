import type { Logger } from "pino";

export interface WarmPoolOptions<T> {
  /** Items kept ready; 0 makes each one on demand. */
  size: number;
  make: () => Promise<T>;
  /** Whether an item that waited can still be used. */
  isUsable: (item: T) => Promise<boolean>;
  destroy: (item: T) => Promise<void>;
  /** An item that waited for longer is replaced by a new one; null keeps items for ever. */
  maxAgeMs?: number | null;
  /** From `take` to the making of a successor: the work must not compete with the start of what was taken. */
  refillDelayMs: number;
  logger: Logger;
}

const RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
/** How often, in the time that an item may wait, old ones are looked for. */
const LOOKS_PER_AGE = 8;

/**
 * Keeps items made ahead. Each is handed out once, the one that waited longest first; its successor is made in the
 * background. When making fails it is tried again with growing pauses; a caller of `take` gets its own try and its error.
 */
export class WarmPool<T> {
  readonly #options: WarmPoolOptions<T>;
  #items: Promise<T | null>[] = [];
  /** When each was ready, on the monotonic clock. */
  readonly #made = new WeakMap<Promise<T | null>, number>();
  #failures = 0;
  #retry: NodeJS.Timeout | null = null;
  #refill: NodeJS.Timeout | null = null;
  #ageing: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: WarmPoolOptions<T>) {
    this.#options = options;
  }

  /** Items that wait to be taken. */
  get ready(): number {
    return this.#items.filter((item) => this.#made.has(item)).length;
  }

  /** Starts to make what is missing. */
  fill(): void {
    if (this.#isClosed || this.#retry !== null) return;
    this.#watchAge();
    while (this.#items.length < this.#options.size) {
      const item = this.#makeAhead();
      this.#items.push(item);
      void item.then((made) => made !== null && this.#made.set(item, performance.now()));
    }
  }

  /** An item for the caller alone: the first that is ready or being made, else a new one. */
  async take(): Promise<T> {
    for (let next = this.#items.shift(); next; next = this.#items.shift()) {
      this.#fillSoon();
      const item = await next;
      if (item === null) continue;
      if (!this.#isOld(next) && (await this.#options.isUsable(item))) return item;
      this.#discard(item);
    }
    return await this.#options.make();
  }

  /** Destroys what waits, also what is still being made. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#ageing !== null) clearInterval(this.#ageing);
    for (const timer of [this.#retry, this.#refill]) if (timer !== null) clearTimeout(timer);
    const items = this.#items;
    this.#items = [];
    const made = await Promise.all(items);
    const removals = made.filter((item) => item !== null).map((item) => this.#options.destroy(item));
    const failed = (await Promise.allSettled(removals)).find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
  }

  /** Resolves when everything that is being made now is ready or has failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#items);
  }

  #isOld(item: Promise<T | null>): boolean {
    const { maxAgeMs } = this.#options;
    const madeAt = this.#made.get(item);
    return maxAgeMs != null && madeAt !== undefined && performance.now() - madeAt > maxAgeMs;
  }

  #watchAge(): void {
    const { maxAgeMs } = this.#options;
    if (maxAgeMs == null || this.#ageing !== null) return;
    this.#ageing = setInterval(() => this.#replaceOldest(), Math.ceil(maxAgeMs / LOOKS_PER_AGE));
    this.#ageing.unref();
  }

  /** One at a time: the pool is never empty because of age, and the machine has little to do. */
  #replaceOldest(): void {
    const oldest = this.#items.find((item) => this.#isOld(item));
    if (oldest === undefined || this.#isClosed) return;
    this.#items = this.#items.filter((item) => item !== oldest);
    this.fill();
    void oldest.then((item) => item !== null && this.#discard(item));
  }

  #fillSoon(): void {
    this.#refill ??= setTimeout(() => {
      this.#refill = null;
      this.fill();
    }, this.#options.refillDelayMs);
  }

  async #makeAhead(): Promise<T | null> {
    try {
      const item = await this.#options.make();
      this.#failures = 0;
      return item;
    } catch (error) {
      this.#options.logger.warn({ err: error }, "cannot make a warm place");
      this.#retryLater();
      return null;
    }
  }

  #retryLater(): void {
    if (this.#isClosed || this.#retry !== null) return;
    const pauseMs = Math.min(RETRY_MS * 2 ** this.#failures++, MAX_RETRY_MS) * (0.5 + Math.random() / 2);
    this.#retry = setTimeout(() => void this.#dropFailures(), pauseMs);
  }

  async #dropFailures(): Promise<void> {
    const results = await Promise.all(this.#items.map(async (item) => ({ item, made: await item })));
    this.#retry = null;
    const failed = new Set(results.filter(({ made }) => made === null).map(({ item }) => item));
    this.#items = this.#items.filter((item) => !failed.has(item));
    this.fill();
  }

  #discard(item: T): void {
    this.#options
      .destroy(item)
      .catch((error: unknown) => this.#options.logger.warn({ err: error }, "cannot remove a warm place"));
  }
}
