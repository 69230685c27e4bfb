import { isIP } from "node:net";

/** Networks of both families as numbers, so that they can be compared and written in the one form that `ip` takes. */
export interface Network {
  readonly family: 4 | 6;
  /** The lowest address; bits below the prefix are zero. */
  readonly address: bigint;
  readonly prefix: number;
}

const BITS = { 4: 32, 6: 128 } as const;

/** An address, or a network in CIDR notation, IPv4 or IPv6. Throws a sentence for people on anything else. */
export function parseNetwork(text: string): Network {
  const [address = "", prefixText, ...rest] = text.split("/");
  const family = isIP(address);
  const bits = family === 4 || family === 6 ? BITS[family] : 0;
  const prefix = prefixText === undefined ? bits : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : Infinity;
  if (bits === 0 || rest.length > 0 || prefix > bits || address.includes("%")) {
    throw new Error(`"${text}" is not an address or a network, for example 10.0.0.0/8, 192.168.1.5 or fd00::/8.`);
  }
  const number = family === 4 ? numberOfV4(address) : numberOfV6(address);
  const below = BigInt(bits - prefix);
  return { family: family as 4 | 6, address: (number >> below) << below, prefix };
}

export function formatNetwork({ family, address, prefix }: Network): string {
  const [size, base] = family === 4 ? ([8n, 10] as const) : ([16n, 16] as const);
  const parts = Array.from({ length: family === 4 ? 4 : 8 }, (_, index) => {
    const shift = BigInt(BITS[family]) - size * BigInt(index + 1);
    return ((address >> shift) & ((1n << size) - 1n)).toString(base);
  });
  return `${parts.join(family === 4 ? "." : ":")}/${prefix}`;
}

export function contains(outer: Network, inner: Network): boolean {
  if (outer.family !== inner.family || outer.prefix > inner.prefix) return false;
  const below = BigInt(BITS[outer.family] - outer.prefix);
  return outer.address >> below === inner.address >> below;
}

export function isSame(a: Network, b: Network): boolean {
  return a.family === b.family && a.prefix === b.prefix && a.address === b.address;
}

function numberOfV4(address: string): bigint {
  return address.split(".").reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

function numberOfV6(address: string): bigint {
  // The URL parser writes an embedded IPv4 address as two groups and shortens nothing else than one run of zeros.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail] = canonical.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const start = groups(head);
  const end = groups(tail ?? "");
  const zeros = Array.from({ length: 8 - start.length - end.length }, () => "0");
  return [...start, ...zeros, ...end].reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}
