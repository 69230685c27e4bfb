import type { Metric } from "./metrics-text.ts";

/** Counts of values up to each bound, as Prometheus has them. */
export class Histogram {
  readonly #bounds: readonly number[];
  /** Values that are within the bound at the same place and above the one before; the last are above all. */
  readonly #counts: number[];
  #sum = 0;

  /** `bounds` ascend, in the unit of the metric. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  observe(value: number): void {
    const place = this.#bounds.findIndex((bound) => value <= bound);
    const at = place < 0 ? this.#bounds.length : place;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += value;
  }

  samples(): Metric["samples"] {
    let total = 0;
    const buckets = this.#counts.map((count, at) => {
      total += count;
      return { suffix: "_bucket", labels: { le: `${this.#bounds[at] ?? "+Inf"}` }, value: total };
    });
    return [...buckets, { suffix: "_sum", value: this.#sum }, { suffix: "_count", value: total }];
  }
}
