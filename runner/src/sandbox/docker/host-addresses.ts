import { readFile } from "node:fs/promises";
import { type Network, parseNetwork } from "../network/networks.ts";

/**
 * Every address under which this machine answers, interfaces that are down included: the kernel answers for those too, which
 * is why it is not `os.networkInterfaces`. Loopback is left out: a job has its own.
 */
export async function hostAddresses(): Promise<Network[]> {
  const [v4, v6] = await Promise.all([readOrEmpty("/proc/net/fib_trie"), readOrEmpty("/proc/net/if_inet6")]);
  return [...localAddressesV4(v4), ...localAddressesV6(v6)];
}

/** From `/proc/net/fib_trie`: a line `|-- 10.0.0.1`, somewhere below it `/32 host LOCAL`. */
export function localAddressesV4(fibTrie: string): Network[] {
  const found = new Set<string>();
  let leaf = "";
  for (const line of fibTrie.split("\n")) {
    leaf = /\|-- (\d{1,3}(?:\.\d{1,3}){3})/.exec(line)?.[1] ?? leaf;
    if (/\/32 host LOCAL/.test(line) && !leaf.startsWith("127.")) found.add(leaf);
  }
  return [...found].map(parseNetwork);
}

/** From `/proc/net/if_inet6`: 32 hexadecimal digits, then index, prefix, scope, flags and name. */
export function localAddressesV6(ifInet6: string): Network[] {
  const digits = ifInet6.split("\n").map((line) => /^[0-9a-f]{32}(?= )/.exec(line)?.[0] ?? "");
  const addresses = digits.filter((text) => text !== "").map((text) => (text.match(/.{4}/g) ?? []).join(":"));
  return addresses.map(parseNetwork).filter(({ address }) => address !== 1n);
}

async function readOrEmpty(path: string): Promise<string> {
  return await readFile(path, "utf8").catch(() => "");
}
