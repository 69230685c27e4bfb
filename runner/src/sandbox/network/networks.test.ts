import fc from "fast-check";
import { expect, it } from "vitest";
import { contains, formatNetwork, isSame, parseNetwork } from "./networks.ts";

it("takes addresses and networks of both families and writes them in one form", () => {
  const forms = [
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["192.168.1.5", "192.168.1.5/32"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["fd00:ec2::254", "fd00:ec2:0:0:0:0:0:254/128"],
    ["FE80::1/10", "fe80:0:0:0:0:0:0:0/10"],
    ["::ffff:10.0.0.1", "0:0:0:0:0:ffff:a00:1/128"],
    ["::/0", "0:0:0:0:0:0:0:0/0"],
  ] as const;
  for (const [text, form] of forms) expect(formatNetwork(parseNetwork(text))).toBe(form);
});

it("refuses anything else: it becomes part of a command", () => {
  for (const wrong of [
    "",
    "10.0.0.0/33",
    "::/129",
    "10.0.0.0/8; reboot",
    "example.com",
    "fe80::1%eth0",
    "1/2/3",
    "10.0.0.1/",
  ])
    expect(() => parseNetwork(wrong)).toThrow("is not an address or a network");
});

it("reads back what it writes, and a network contains what has its first bits", () => {
  const network = fc.oneof(
    fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
  );
  fc.assert(
    fc.property(network, fc.integer({ min: 0, max: 128 }), ([address, prefix], shorter) => {
      const inner = parseNetwork(`${address}/${prefix}`);
      const outer = parseNetwork(`${address}/${Math.min(prefix, shorter)}`);
      expect(isSame(parseNetwork(formatNetwork(inner)), inner)).toBe(true);
      expect(contains(outer, inner)).toBe(true);
      expect(contains(inner, outer)).toBe(isSame(inner, outer));
    }),
  );
});
