import type { Subnet } from "../sandbox/docker/subnets.ts";

const ROUTE_UP = 0x1;

/** The IPv4 routes of `/proc/net/route`, the default route left out. Addresses stand there as little-endian hex. */
export function parseRoutes(text: string): { device: string; subnet: Subnet }[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [device, destination, , flags, , , , mask] = line.trim().split(/\s+/);
      if (device === undefined || destination === undefined || flags === undefined || mask === undefined) return [];
      const prefix = countBits(Number.parseInt(mask, 16));
      const isUp = (Number.parseInt(flags, 16) & ROUTE_UP) !== 0;
      if (!isUp || prefix === 0) return [];
      return [{ device, subnet: { address: swapBytes(Number.parseInt(destination, 16)), prefix } }];
    });
}

function swapBytes(value: number): number {
  const bytes = [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

function countBits(value: number): number {
  let count = 0;
  for (let rest = value >>> 0; rest !== 0; rest >>>= 1) count += rest & 1;
  return count;
}
