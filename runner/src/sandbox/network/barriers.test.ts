import { expect, it } from "vitest";
import { METADATA_NETWORKS, fingerprint, isReachable, planBarriers } from "./barriers.ts";
import { formatNetwork, parseNetwork } from "./networks.ts";

const networks = (...texts: string[]) => texts.map(parseNetwork);

it("keeps what is denied but for what an exception takes back, and only exceptions that matter", () => {
  const plan = planBarriers({
    denied: networks("10.0.0.0/8", "192.0.2.2", "192.0.2.2", "192.0.2.3"),
    allowed: networks("10.1.2.3", "192.0.2.3", "192.0.2.0/24", "8.8.8.8"),
  });
  expect(plan.denied.map(formatNetwork)).toEqual(["10.0.0.0/8", "192.0.2.2/32"]);
  expect(plan.allowed.map(formatNetwork)).toEqual(["10.1.2.3/32"]);
});

it("lets the narrower rule hold, and of two equal ones the exception", () => {
  const barriers = {
    denied: networks("10.0.0.0/8", "10.1.2.3", "10.9.9.9"),
    allowed: networks("10.1.0.0/16", "10.9.9.9"),
  };
  const reachable = (address: string) => isReachable(barriers, parseNetwork(address));
  expect(["10.2.0.1", "10.1.0.1", "10.1.2.3", "10.9.9.9", "8.8.8.8"].map(reachable)).toEqual([
    false,
    true,
    false,
    true,
    true,
  ]);
});

it("raises barriers anew for another address of the host, not for the link-local ones that come with every network", () => {
  const of = (...denied: string[]) => fingerprint({ denied: networks("10.0.0.0/8", ...denied), allowed: [] });
  expect(of("192.0.2.2", "fe80::1", "fe80::2")).toBe(of("192.0.2.2"));
  expect(of("192.0.2.2", "192.0.2.3")).not.toBe(of("192.0.2.2"));
  expect(of("192.0.2.2", "fd00::2")).not.toBe(of("192.0.2.2"));
  expect(fingerprint({ denied: [], allowed: networks("192.0.2.2") })).not.toBe(
    fingerprint({ denied: networks("192.0.2.2"), allowed: [] }),
  );
});

it("denies the metadata addresses of the clouds in both families", () => {
  const barriers = { denied: METADATA_NETWORKS, allowed: [] };
  for (const address of [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
  ])
    expect(isReachable(barriers, parseNetwork(address))).toBe(false);
});
