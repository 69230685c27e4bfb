import { describe, expect, it } from "vitest";
import { formatSubnet, freeBlocks, overlaps, parseSubnet } from "./subnets.ts";

describe("subnets", () => {
  it("reads and writes CIDR notation, cutting host bits", () => {
    expect(formatSubnet(parseSubnet("10.213.7.9/16"))).toBe("10.213.0.0/16");
    expect(formatSubnet(parseSubnet("192.168.255.240/28"))).toBe("192.168.255.240/28");
  });

  it("refuses what is no network or has no room", () => {
    for (const wrong of ["", "10.0.0.0", "10.0.0.0/29", "10.0.0.0/4", "300.0.0.0/16", "fd00::/8"]) {
      expect(() => parseSubnet(wrong)).toThrow("for example 10.213.0.0/16");
    }
  });

  it("sees overlaps in both directions", () => {
    expect(overlaps(parseSubnet("10.0.0.0/8"), parseSubnet("10.9.8.0/28"))).toBe(true);
    expect(overlaps(parseSubnet("10.9.8.16/28"), parseSubnet("10.9.8.0/28"))).toBe(false);
  });

  it("gives free blocks from any start, around the end, without what is taken", () => {
    const range = parseSubnet("10.213.0.0/24");
    const taken = [parseSubnet("10.213.0.240/28"), parseSubnet("10.213.0.16/28")];
    expect(freeBlocks(range, taken, 14 + 16 * 1000, 3).map(formatSubnet)).toEqual([
      "10.213.0.224/28",
      "10.213.0.0/28",
      "10.213.0.32/28",
    ]);
    expect(freeBlocks(range, [parseSubnet("10.0.0.0/8")], 0, 3)).toEqual([]);
  });
});
