/** Subnets for jobs: /28 blocks out of the operator's range, because the engine's own pools end at about 30 networks. */

export interface Subnet {
  /** The network address as an unsigned 32-bit number. */
  readonly address: number;
  readonly prefix: number;
}

export const JOB_PREFIX = 28;
const JOB_ADDRESSES = 2 ** (32 - JOB_PREFIX);
const MIN_PREFIX = 8;

/** Throws a sentence for people when `cidr` is not an IPv4 network that has room for at least one job. */
export function parseSubnet(cidr: string): Subnet {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr);
  const parts = match?.slice(1, 5).map(Number) ?? [];
  const prefix = Number(match?.[5]);
  if (!match || parts.some((part) => part > 255) || prefix < MIN_PREFIX || prefix > JOB_PREFIX) {
    throw new Error(
      `"${cidr}" is not an IPv4 network between /${MIN_PREFIX} and /${JOB_PREFIX}, for example 10.213.0.0/16.`,
    );
  }
  const address = parts.reduce((sum, part) => sum * 256 + part, 0);
  const size = 2 ** (32 - prefix);
  return { address: Math.floor(address / size) * size, prefix };
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(subnet.address)}/${subnet.prefix}`;
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  const size = 2 ** (32 - Math.min(a.prefix, b.prefix));
  return Math.floor(a.address / size) === Math.floor(b.address / size);
}

/**
 * The /28 blocks of `range` that overlap nothing in `taken`, at most `limit`, starting at block `start` (any number, taken
 * modulo) and wrapping around. Two runners that start at random places seldom ask for the same block.
 */
export function freeBlocks(range: Subnet, taken: readonly Subnet[], start: number, limit: number): Subnet[] {
  const count = 2 ** (JOB_PREFIX - range.prefix);
  const free: Subnet[] = [];
  for (let step = 0; step < count && free.length < limit; step++) {
    const block = { address: range.address + ((start + step) % count) * JOB_ADDRESSES, prefix: JOB_PREFIX };
    if (!taken.some((other) => overlaps(block, other))) free.push(block);
  }
  return free;
}
