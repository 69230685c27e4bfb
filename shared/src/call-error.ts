/** The server answered, but not with success. `code` is from the shared table, or "" when the body was not ours. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly status: number;
  readonly code: string;
  readonly details: unknown;
  /** What Retry-After asked for, in milliseconds; 0 without one. */
  readonly retryAfterMs: number;

  constructor(answer: { status: number; code: string; message: string; details: unknown; retryAfterMs: number }) {
    super(answer.message);
    this.status = answer.status;
    this.code = answer.code;
    this.details = answer.details;
    this.retryAfterMs = answer.retryAfterMs;
  }
}

/** No answer, or one that is not understood. The effect of the call is unknown. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504, 507]);

/** True when the same call may succeed later. */
export function isTransient(error: unknown): boolean {
  if (error instanceof UnreachableError) return true;
  return error instanceof RefusedError && TRANSIENT_STATUSES.has(error.status);
}

export function retryAfterOf(error: unknown): number {
  return error instanceof RefusedError ? error.retryAfterMs : 0;
}
