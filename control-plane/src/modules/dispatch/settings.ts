/** Times of leases and claims, in milliseconds, and a limit. All are settings, so that tests run them shorter. */
export interface DispatchSettings {
  /** A lease that is not renewed for this long has lost its runner. */
  readonly leaseTermMs: number;
  /** How often a runner is asked to renew. */
  readonly heartbeatIntervalMs: number;
  /** From a cancel until the runner must have said that everything is dead; afterwards its slot counts as free. */
  readonly cancelLimitMs: number;
  /** How long a session that just failed at a job is passed over for it. */
  readonly avoidMs: number;
  /** Logs of an execution stay open this long after its lease ended, so that a late tail is kept. */
  readonly logTailMs: number;
  /** Runs that a workspace without a limit of its own may have going at once; 0 for any number. */
  readonly maxConcurrentRuns: number;
}

/** A parked claim looks again after this long, give or take a quarter, in case a wake-up was lost. */
export const CLAIM_RETRY_MS = 5_000;
/** A runner is online while it was heard from this recently. */
export const ONLINE_WINDOW_MS = 60_000;
/** Distinct label sets a workspace may have at once. */
export const MAX_LABEL_SETS = 1_000;
/** A label set that nothing has used for this long is removed. */
export const LABEL_SET_IDLE_MS = 24 * 3_600_000;
/** Claims parked at once over all sessions; one more answers 429. */
export const MAX_PARKED_CLAIMS = 50_000;
