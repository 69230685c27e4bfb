/** So many failures within the window open the circuit. */
export const MAX_FAILURES = 3;
export const WINDOW_MS = 10 * 60_000;
export const FIRST_PAUSE_MS = 15_000;
export const MAX_PAUSE_MS = 15 * 60_000;
const GROWTH = 2;

/**
 * Whether a template may make machines. Closed: as many as wanted. Open: none until `until`. Half-open, when that has passed: one, the
 * probe; it closes the circuit or opens it for longer. Times are monotonic milliseconds.
 */
export interface Breaker {
  readonly failures: readonly number[];
  /** Null while closed. */
  readonly openUntil: number | null;
  readonly pauseMs: number;
  /** The instance that tries it out. */
  readonly probe: string | null;
  readonly lastError: string | null;
}

export const CLOSED: Breaker = {
  failures: [],
  openUntil: null,
  pauseMs: FIRST_PAUSE_MS,
  probe: null,
  lastError: null,
};

export type BreakerState = "closed" | "open" | "half_open";

export function stateOf(breaker: Breaker, now: number): BreakerState {
  if (breaker.openUntil === null) return "closed";
  return now < breaker.openUntil ? "open" : "half_open";
}

/** How many machines it may make now at most. */
export function allowed(breaker: Breaker, now: number): number {
  const state = stateOf(breaker, now);
  if (state === "closed") return Number.POSITIVE_INFINITY;
  return state === "half_open" && breaker.probe === null ? 1 : 0;
}

/** An instance is about to be made. */
export function started(breaker: Breaker, instance: string, now: number): Breaker {
  return stateOf(breaker, now) === "half_open" && breaker.probe === null ? { ...breaker, probe: instance } : breaker;
}

/** A runner has registered: everything on the way there works. */
export function succeeded(breaker: Breaker, instance: string): Breaker {
  if (breaker.openUntil === null) return breaker;
  return breaker.probe === instance ? CLOSED : breaker;
}

/** An instance ended without a word for or against its template: another may try. */
export function ended(breaker: Breaker, instance: string): Breaker {
  return breaker.probe === instance ? { ...breaker, probe: null } : breaker;
}

export interface Failure {
  readonly instance: string;
  readonly why: string;
  /** The provider's plain no opens the circuit at once; a boot that failed may be a whim. */
  readonly opens: "at-once" | "after-several";
  /** A circuit that this opens stays open for so long at least, in milliseconds. */
  readonly minPauseMs?: number;
}

/** `random` is from 0 to below 1: it shortens the pause by up to a half. */
export function failed(breaker: Breaker, failure: Failure, now: number, random: number): Breaker {
  const failures = [...breaker.failures.filter((time) => time > now - WINDOW_MS), now].slice(-MAX_FAILURES);
  const noted = { ...breaker, failures, lastError: failure.why };
  const isEnough = failure.opens === "at-once" || failures.length >= MAX_FAILURES;
  if (breaker.probe !== failure.instance && (breaker.openUntil !== null || !isEnough)) return noted;
  const { pauseMs } = breaker;
  return {
    ...noted,
    probe: null,
    openUntil: now + Math.max(failure.minPauseMs ?? 0, pauseMs * (1 - random / 2)),
    pauseMs: Math.min(MAX_PAUSE_MS, pauseMs * GROWTH),
  };
}
