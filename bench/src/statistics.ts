/** Nearest-rank quantile of unsorted samples; `share` is from 0 to 1. Throws RangeError without samples. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((left, right) => left - right);
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
  if (value === undefined) throw new RangeError("a quantile needs at least one sample");
  return value;
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** Pairs the two by index, so that what disturbed both of one round cancels out. */
export function ratios(samples: readonly number[], yardstick: readonly number[]): number[] {
  return samples.map((sample, index) => sample / (yardstick[index] ?? Number.NaN));
}

/** `median (min–max)` */
export function spread(samples: readonly number[], decimals: number): string {
  const [low, middle, high] = [0, 0.5, 1].map((share) => quantile(samples, share).toFixed(decimals));
  return `${middle} (${low}–${high})`;
}

/** The list, begun at another element each round, so that none always comes first or always follows the same one. */
export function rotated<T>(items: readonly T[], round: number): T[] {
  const start = round % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}
