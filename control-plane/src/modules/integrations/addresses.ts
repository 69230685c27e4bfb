import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { ApiError } from "@shipfox/shared/errors";
import { isPublicAddress } from "../../network/public-address.ts";

const RESOLVE_TIMEOUT_MS = 10_000;

/**
 * The address to connect to for `host`, which may be a name or an address. All addresses of the name must be public;
 * the caller then connects to the returned one, so that a name which changes its mind meanwhile gains nothing.
 * Throws 400 `invalid-repository-url`, 503 `provider-unavailable` or 503 `timeout`.
 */
export async function resolvePublic(host: string): Promise<string> {
  const addresses = isIP(host) ? [host] : await resolve(host);
  const refused = addresses.find((address) => !isPublicAddress(address));
  if (refused !== undefined) throw privateAddress(host);
  return addresses[0] as string;
}

async function resolve(host: string): Promise<string[]> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new ApiError("timeout", `the name ${host} was not resolved in time`)),
    RESOLVE_TIMEOUT_MS,
  );
  try {
    const found = await Promise.race([lookup(host, { all: true }), late]);
    return found.map(({ address }) => address);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("provider-unavailable", `the name ${host} has no address; check the repository's URL`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** The same words whether a name or an address was given, and no address in them: names of the inside stay inside. */
export function privateAddress(host: string): ApiError {
  return new ApiError(
    "invalid-repository-url",
    `${host} is not on the public internet; an operator allows private addresses with SHIPFOX_GIT_ALLOW_PRIVATE=true`,
    { details: { allowed_by: "SHIPFOX_GIT_ALLOW_PRIVATE" } },
  );
}
