/** At most `limit` in any `windowMs`, counted exactly. Times are monotonic milliseconds. */
export class RateLimit {
  private readonly windowMs: number;
  private times: number[] = [];

  constructor(windowMs: number) {
    this.windowMs = windowMs;
  }

  /** How many more there may be now. */
  left(limit: number, now: number): number {
    this.times = this.times.filter((time) => time > now - this.windowMs);
    return Math.max(0, limit - this.times.length);
  }

  note(now: number): void {
    this.times.push(now);
  }
}
