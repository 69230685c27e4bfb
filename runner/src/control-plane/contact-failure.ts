import { isTransient, RefusedError } from "@shipfox/shared/call-error";

/**
 * What a call without a useful answer says about the control plane. `plane_down`: it does not serve anybody, so nobody can give
 * our job away. `silence`: it may well serve others. `lease_gone`: it answered, and the lease is not ours.
 */
export type ContactFailure = "plane_down" | "silence" | "lease_gone";

const SERVER_ERROR = 500;
const MAX_CAUSES = 8;

/**
 * A machine or a program that hung up on us: the address is reachable, the control plane is not there. Everything else (time-outs,
 * no route, no name, a certificate that is not the plane's) can happen to us alone.
 */
const HUNG_UP_CODES: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "UND_ERR_SOCKET",
  // A Unix socket without a server.
  "ENOENT",
]);

export function contactFailure(error: unknown): ContactFailure {
  if (error instanceof RefusedError) {
    if (error.status >= SERVER_ERROR) return "plane_down";
    // An answer without one of our codes is a stranger's: a proxy without a plane behind it, the sign-in page of a network.
    return isTransient(error) || error.code === "" ? "silence" : "lease_gone";
  }
  return hungUp(error) ? "plane_down" : "silence";
}

/** Looks through the wrappers that HTTP clients put around a network error; of several addresses all must have hung up. */
function hungUp(error: unknown): boolean {
  let current = error;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth++) {
    if (current instanceof AggregateError && current.errors.length > 0) return current.errors.every(hungUp);
    const code = (current as NodeJS.ErrnoException).code;
    if (code !== undefined && HUNG_UP_CODES.has(code)) return true;
    current = current.cause;
  }
  return false;
}
