import { describe, expect, it } from "vitest";
import { addressBlock, clientAddress, parseTrustProxy, type TrustProxy } from "./client-address.ts";

function from(trust: TrustProxy, remoteAddress: string, forwarded?: string): string {
  const headers = forwarded === undefined ? {} : { "x-forwarded-for": forwarded };
  return clientAddress(trust)({ socket: { remoteAddress } as never, headers });
}

describe("clientAddress", () => {
  it("believes nobody unless told to", () => {
    expect(from(false, "10.0.0.1", "203.0.113.9")).toBe("10.0.0.1");
    expect(from(false, "::ffff:10.0.0.1")).toBe("10.0.0.1");
    expect(from(true, "10.0.0.1")).toBe("10.0.0.1");
  });
  it("believes everybody, or so many proxies, from the end", () => {
    expect(from(true, "10.0.0.1", "203.0.113.9, 10.0.0.2")).toBe("203.0.113.9");
    expect(from(1, "10.0.0.1", "198.51.100.1, 203.0.113.9")).toBe("203.0.113.9");
    expect(from(2, "10.0.0.1", "198.51.100.1, 203.0.113.9")).toBe("198.51.100.1");
    expect(from(0, "10.0.0.1", "203.0.113.9")).toBe("10.0.0.1");
  });
  it("believes the proxies of a network only, and not what the client wrote in front of them", () => {
    const networks = ["10.0.0.0/8", "fd00::/8"];
    expect(from(networks, "10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2")).toBe("203.0.113.9");
    expect(from(networks, "203.0.113.9", "6.6.6.6")).toBe("203.0.113.9");
    expect(from(networks, "fd00::1", "2001:db8::1")).toBe("2001:db8::1");
    expect(from(networks, "::ffff:10.0.0.1", "203.0.113.9")).toBe("203.0.113.9");
  });
  it.each(["unknown", "", "203.0.113.9:80", "<script>", "a, b"])("stops at %j, which is no address", (entry) => {
    expect(from(true, "10.0.0.1", entry)).toBe("10.0.0.1");
  });
});

describe("parseTrustProxy", () => {
  it.each([
    ["false", false],
    ["true", true],
    ["2", 2],
    ["10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"]],
  ])("reads %s", (text, expected) => expect(parseTrustProxy(text)).toEqual(expected));
  it.each(["", "yes", "10.0.0.0/33", "::1/129", "proxy.example", "10.0.0.0/8/1", "1.5"])("refuses %j", (text) =>
    expect(parseTrustProxy(text)).toBeNull(),
  );
});

describe("addressBlock", () => {
  it.each([
    ["203.0.113.9", "203.0.113.9"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["2001:0db8::", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["", ""],
  ])("%s counts as %s", (address, block) => expect(addressBlock(address)).toBe(block));
});
