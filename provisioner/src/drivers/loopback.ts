import { BlockList, isIP } from "node:net";

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");
// Whoever connects to the unspecified address reaches this host.
LOOPBACK.addAddress("0.0.0.0", "ipv4");
LOOPBACK.addAddress("::", "ipv6");

/** As `URL.hostname` has them: those that a provider on this host may be given by. */
export const LOOPBACK_NAMES: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Whether the host of a URL is this host alone, in whatever spelling; false for a text that is no URL. */
export function isLoopback(url: string): boolean {
  const host =
    URL.parse(url)
      ?.hostname.replace(/^\[(.*)\]$/, "$1")
      .replace(/\.$/, "") ?? "";
  const family = isIP(host);
  if (family === 0) return host === "localhost" || host.endsWith(".localhost");
  return LOOPBACK.check(host, family === 4 ? "ipv4" : "ipv6");
}
