import { BlockList, isIPv4, isIPv6 } from "node:net";
import type { RequestFacts } from "../../http/route.ts";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

const MAPPED_PREFIX = "::ffff:";
const PROXY_HEADERS = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-real-ip"];

/**
 * True for a program on this machine that talks to us directly. Not for what a proxy passes on, and not when another
 * name than localhost was asked for: a web page can make its own name lead here, and a browser then sends its requests.
 */
export function isLocalPeer(request: Pick<RequestFacts, "ip" | "header">): boolean {
  if (PROXY_HEADERS.some((name) => request.header(name) !== undefined)) return false;
  return isLoopback(request.ip) && isLocalName(request.header("host"));
}

function isLoopback(ip: string): boolean {
  const address = ip.toLowerCase().startsWith(MAPPED_PREFIX) ? ip.slice(MAPPED_PREFIX.length) : ip;
  if (isIPv4(address)) return loopback.check(address, "ipv4");
  return isIPv6(address) && loopback.check(address, "ipv6");
}

/** True for localhost and loopback addresses, with or without a port. */
export function isLocalName(host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(`http://${host}`)) return false;
  const name = new URL(`http://${host}`).hostname.replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || isLoopback(name);
}
