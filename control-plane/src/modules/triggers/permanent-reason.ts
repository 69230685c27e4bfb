import { ApiError } from "@shipfox/shared/errors";

const FIRST_TRANSIENT_STATUS = 500;

/** What people read of a start that cannot go well either when it is tried again; null for what may. */
export function permanentReason(error: unknown): string | null {
  if (!(error instanceof ApiError) || error.status >= FIRST_TRANSIENT_STATUS || error.code === "rate-limited")
    return null;
  return `${error.code}: ${error.message}`;
}
