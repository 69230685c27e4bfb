const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 10_000;
const GROWTH = 2;

/** Delays between tries of one call: doubling, at most 10 s, each shortened at random by up to a half. */
export class Backoff {
  private readonly firstDelayMs: number;
  private delayMs: number;

  constructor(firstDelayMs: number = FIRST_DELAY_MS) {
    this.firstDelayMs = firstDelayMs;
    this.delayMs = firstDelayMs;
  }

  /** The next delay; never shorter than what the server asked for. */
  next(retryAfterMs = 0): number {
    const delay = this.delayMs * (1 - Math.random() / 2);
    this.delayMs = Math.min(MAX_DELAY_MS, this.delayMs * GROWTH);
    return Math.max(delay, retryAfterMs);
  }

  reset(): void {
    this.delayMs = this.firstDelayMs;
  }
}
