import { describe, expect, it } from "vitest";
import { isLocalPeer } from "./local-peer.ts";

function peer(ip: string, headers: Record<string, string> = {}) {
  const all: Record<string, string> = { host: "localhost:16101", ...headers };
  return isLocalPeer({ ip, header: (name) => all[name] });
}

describe("isLocalPeer", () => {
  it.each(["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])("takes %s for this machine", (ip) => {
    expect(peer(ip)).toBe(true);
  });
  it.each(["10.0.0.1", "128.0.0.1", "::ffff:10.0.0.1", "fe80::1", "::", "", "localhost"])("not %s", (ip) => {
    expect(peer(ip)).toBe(false);
  });
  it.each(["x-forwarded-for", "forwarded", "x-real-ip"])(
    "not what a proxy on this machine passes on with %s",
    (name) => {
      expect(peer("127.0.0.1", { [name]: "127.0.0.1" })).toBe(false);
    },
  );
  it.each(["127.0.0.1:16101", "[::1]:16101", "localhost"])("takes requests for %s", (host) => {
    expect(peer("127.0.0.1", { host })).toBe(true);
  });
  it.each(["evil.example.com", "localhost.evil.example.com:16101", "10.0.0.1", "", "a b"])(
    "not requests for %s, a name that a web page made lead here",
    (host) => {
      expect(peer("127.0.0.1", { host })).toBe(false);
    },
  );
});
