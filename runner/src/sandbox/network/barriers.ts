import { type Network, contains, formatNetwork, isSame, parseNetwork } from "./networks.ts";

/**
 * Addresses that answer cloud credentials to whoever asks, and all that is link-local in IPv4. (An IPv6 link-local address
 * needs an interface with IPv6, which a place has not.) Azure's 168.63.129.16 is missing: it is that cloud's resolver too.
 */
export const METADATA_NETWORKS = [
  "169.254.0.0/16",
  "100.100.100.200/32",
  "fd00:ec2::/32",
  "fd20:ce::254/128",
  "fe80::a9fe:a9fe/128",
].map(parseNetwork);

/** What jobs may not reach, and the exceptions. Of two that overlap the narrower one holds, of two that are equal the exception. */
export interface Barriers {
  readonly denied: readonly Network[];
  readonly allowed: readonly Network[];
}

export interface BarrierPlan {
  /** Denied, without what an exception takes back whole. */
  readonly denied: Network[];
  /** Exceptions within something denied: the others change nothing. */
  readonly allowed: Network[];
}

export function planBarriers({ denied, allowed }: Barriers): BarrierPlan {
  const left = unique(denied).filter((network) => !allowed.some((exception) => isSame(exception, network)));
  const needed = unique(allowed).filter((exception) => left.some((network) => contains(network, exception)));
  return { denied: left, allowed: needed };
}

/** Whether a job can reach `address`, as far as the barriers go. */
export function isReachable({ denied, allowed }: Barriers, address: Network): boolean {
  const narrowest = (networks: readonly Network[]) =>
    Math.max(-1, ...networks.filter((network) => contains(network, address)).map(({ prefix }) => prefix));
  return narrowest(allowed) >= narrowest(denied);
}

const LINK_LOCAL_V6 = parseNetwork("fe80::/10");

/**
 * The same as long as a place keeps what was raised in it. IPv6 link-local addresses do not count: every network and every
 * container brings the host another one, which answers on its own link alone.
 */
export function fingerprint({ denied, allowed }: Barriers): string {
  const lasting = (networks: readonly Network[]) =>
    networks.filter((network) => !contains(LINK_LOCAL_V6, network)).map(formatNetwork);
  return [...lasting(denied), "allowed", ...lasting(allowed)].join();
}

function unique(networks: readonly Network[]): Network[] {
  return [...new Map(networks.map((network) => [formatNetwork(network), network])).values()];
}
