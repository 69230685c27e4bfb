/** Time as the control plane sees it. A parameter wherever a test must move it. */
export interface Clock {
  /** Wall time in milliseconds since 1970: what is stored and shown. May jump. */
  now(): number;
  /** Milliseconds since some moment: for durations and deadlines inside this process. Never goes back. */
  monotonic(): number;
}

export function now(): number {
  return Date.now();
}

export function monotonic(): number {
  return performance.now();
}

export const systemClock: Clock = { now, monotonic };
