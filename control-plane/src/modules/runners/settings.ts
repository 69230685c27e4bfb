/** How long a lease token is good beyond the longest job: a runner may be cut off that long and still hold its job. */
export interface RunnerSettings {
  readonly outageLimitMs: number;
  readonly leaseTermMs: number;
  readonly heartbeatIntervalMs: number;
  /** Our own version, the middle of the window of runner versions that are served. */
  readonly version: string;
}

/** Longest `execution_timeout` a workflow may name; a lease token outlives it by the outage limit. */
export const MAX_EXECUTION_MS = 24 * 3_600_000;
/** Credentials of a runner remembered after they were replaced, to recognise a copied credential file. */
export const MAX_RETIRED_CREDENTIALS = 50;
