import { networkInterfaces } from "node:os";
import { expect, it } from "vitest";
import { hostAddresses, localAddressesV4, localAddressesV6 } from "./host-addresses.ts";
import { formatNetwork, parseNetwork } from "../network/networks.ts";

const FIB_TRIE = `Main:
  +-- 0.0.0.0/0 3 0 4
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
Local:
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 172.17.0.1
           /32 host LOCAL
`;

const IF_INET6 = `fd000000000000000000000000000002 04 40 00 82     eth0
00000000000000000000000000000001 01 80 10 80       lo
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
`;

it("finds the local addresses of every interface but loopback, each once", () => {
  expect(localAddressesV4(FIB_TRIE).map(formatNetwork)).toEqual(["192.0.2.2/32", "172.17.0.1/32"]);
  expect(localAddressesV6(IF_INET6).map(formatNetwork)).toEqual([
    "fd00:0:0:0:0:0:0:2/128",
    "fe80:0:0:0:fc:ff:fe00:1/128",
  ]);
});

it("finds at least what the operating system lists for this machine", async () => {
  const found = (await hostAddresses()).map(formatNetwork);
  const listed = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const outward = listed.filter(({ internal }) => !internal).map(({ address }) => formatNetwork(parseNetwork(address)));
  expect(found).toEqual(expect.arrayContaining(outward));
});
