/** Tells wall time in milliseconds with fractions, which `Date.now` lacks: the time that bash has as `EPOCHREALTIME`. */
export class WallClock {
  readonly #offset: number;

  /** Waits, busily, for the next full millisecond. Good for some seconds: then the clocks may have drifted apart. */
  constructor() {
    const first = Date.now();
    let next = Date.now();
    while (next === first) next = Date.now();
    this.#offset = next - performance.now();
  }

  now(): number {
    return performance.now() + this.#offset;
  }
}
