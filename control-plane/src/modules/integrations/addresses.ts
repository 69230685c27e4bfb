import { lookup } from "node:dns/promises";
import { BlockList, isIP, isIPv4 } from "node:net";
import { ApiError } from "@shipfox/shared/errors";

const RESOLVE_TIMEOUT_MS = 10_000;

/** Address ranges that are not the public internet. Source: the IANA special-purpose address registries. */
const SPECIAL_IPV4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const;

/** Within the global unicast range; all of IPv6 outside of that range is special anyway. */
const SPECIAL_IPV6 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const;

const special = new BlockList();
for (const [network, prefix] of SPECIAL_IPV4) special.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of SPECIAL_IPV6) special.addSubnet(network, prefix, "ipv6");
const globalUnicast = new BlockList();
globalUnicast.addSubnet("2000::", 3, "ipv6");

/** True for an address of the public internet; false for private, loopback, link-local and reserved ones, and non-addresses. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, "ipv4");
  return isIP(address) === 6 && globalUnicast.check(address, "ipv6") && !special.check(address, "ipv6");
}

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
