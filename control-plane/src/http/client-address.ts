import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";

/** Who may say on whose behalf it calls: nobody, everybody, the last so many proxies, or proxies of these networks. */
export type TrustProxy = boolean | number | readonly string[];

/** Entries of `X-Forwarded-For` that are looked at, from the end; the rest is what a client wrote itself. */
const MAX_HOPS = 32;
const MAPPED_PREFIX = "::ffff:";

/** The address a request comes from, for the audit log and all limits. */
export type ClientAddress = (incoming: Pick<IncomingMessage, "socket" | "headers">) => string;

/** Null when `text` is not `true`, `false`, a number of proxies, or networks and addresses separated by commas. */
export function parseTrustProxy(text: string): TrustProxy | null {
  if (text === "true" || text === "false") return text === "true";
  if (/^\d{1,2}$/.test(text)) return Number(text);
  const networks = text.split(",").map((part) => part.trim());
  return networks.every(isNetwork) ? networks : null;
}

/**
 * `X-Forwarded-For` is read from its end, where the nearest proxy wrote: an entry counts only when the one behind it is
 * trusted. Whatever is no address ends the way.
 */
export function clientAddress(trust: TrustProxy): ClientAddress {
  const isTrusted = trustOf(trust);
  return ({ socket, headers }) => {
    let address = plain(socket.remoteAddress ?? "");
    if (trust === false) return address;
    const forwarded = [headers["x-forwarded-for"] ?? []].flat().join(",").split(",").slice(-MAX_HOPS).reverse();
    for (const [hop, entry] of forwarded.entries()) {
      const next = plain(entry.trim());
      if (!isTrusted(address, hop) || isIP(next) === 0) break;
      address = next;
    }
    return address;
  };
}

/** The part of an address that one client cannot choose freely: a whole IPv4 address, the first half of an IPv6 one. */
export function addressBlock(address: string): string {
  if (isIP(address) !== 6) return address;
  const [head = "", tail] = address.split("%")[0]?.split("::") ?? [];
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::/64`;
}

function trustOf(trust: TrustProxy): (address: string, hop: number) => boolean {
  if (typeof trust === "boolean") return () => trust;
  if (typeof trust === "number") return (_address, hop) => hop < trust;
  const list = new BlockList();
  for (const network of trust) {
    const [address = "", bits] = network.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

function isNetwork(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
}

/** An IPv4 address on an IPv6 socket is still that IPv4 address. */
function plain(address: string): string {
  const lower = address.toLowerCase();
  return lower.startsWith(MAPPED_PREFIX) && isIP(lower.slice(MAPPED_PREFIX.length)) === 4
    ? lower.slice(MAPPED_PREFIX.length)
    : lower;
}
