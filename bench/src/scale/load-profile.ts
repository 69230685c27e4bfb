/** How the number of open jobs should go: up, level, down to nothing, each over the same time. */
export interface LoadProfile {
  readonly peak: number;
  readonly phaseMs: number;
}

/** Open jobs that there should be `atMs` milliseconds after the start. */
export function targetAt({ peak, phaseMs }: LoadProfile, atMs: number): number {
  const phase = atMs / phaseMs;
  return Math.max(0, Math.round(peak * Math.min(1, phase, 3 - phase)));
}

/**
 * How often a curve turns: moves of less than `threshold` against its direction are noise. One that rises and falls once turns once.
 */
export function turnsOf(values: readonly number[], threshold: number): number {
  let turns = 0;
  let direction = 0;
  let extreme = values[0] ?? 0;
  for (const value of values) {
    const move = value - extreme;
    if (direction === 0 ? Math.abs(move) >= threshold : move * direction <= -threshold) {
      if (direction !== 0) turns += 1;
      direction = Math.sign(move);
      extreme = value;
    } else if (direction !== 0 && move * direction > 0) extreme = value;
  }
  return turns;
}
