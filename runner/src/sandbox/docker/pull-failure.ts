import { SandboxError } from "../sandbox-error.ts";

/**
 * A registry that is overloaded, broken or silent: the same pull may succeed later. Everything else, above all a wrong name,
 * missing rights and an address where no registry is, is for the workflow's author to correct.
 */
const REGISTRY_FAULT =
  /too ?many ?requests|rate limit|unexpected (HTTP )?status( code)?:? ?(429|5\d\d)|\b50[0234] (internal|bad|service|gateway)|bad gateway|service unavailable|gateway time-?out|i\/o timeout|TLS handshake timeout|deadline exceeded|request canceled|connection reset|unexpected EOF|: EOF\b|server misbehaving|temporary failure|network is unreachable|no route to host/i;

/** Tells from the engine's words whether a failed pull was the registry's fault; the engine's own status says nothing. */
export function isRegistryFault(error: unknown): boolean {
  if (error instanceof SandboxError && error.reason === "timed_out") return true;
  return REGISTRY_FAULT.test(error instanceof Error ? error.message : String(error));
}

/** No registry is at the address, or this machine does not get there. */
export function isOutOfReach(error: unknown): boolean {
  return /no such host|connection refused|lookup .* on /i.test(error instanceof Error ? error.message : String(error));
}
