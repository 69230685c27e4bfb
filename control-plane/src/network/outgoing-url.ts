import { isIP } from "node:net";
import { isPublicAddress } from "./public-address.ts";

/** Ports below this belong to services that are no web servers, except the two of the web. */
const FIRST_FREE_PORT = 1024;
const WEB_PORTS = new Set(["", "80", "443"]);

/** Why a URL that a user gave is not called. An operator who allows private addresses also allows those `allowable`. */
export interface UrlRefusal {
  readonly reason: "malformed" | "unencrypted" | "credentials" | "fragment" | "port" | "private";
  /** Goes on after "because". */
  readonly message: string;
  readonly allowable: boolean;
}

/**
 * What can be refused without asking a name server; the rest is refused when the URL is called. Pure. A refusal has a
 * `reason`, a good URL has none.
 */
export function checkOutgoingUrl(text: string, allowPrivate: boolean): { url: URL } | UrlRefusal {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || (url.protocol !== "https:" && url.protocol !== "http:")) {
    return { reason: "malformed", message: "it is no https:// URL", allowable: false };
  }
  if (url.protocol === "http:" && !allowPrivate) {
    return { reason: "unencrypted", message: "it is not encrypted: use https://", allowable: true };
  }
  if (url.username !== "" || url.password !== "") {
    return { reason: "credentials", message: "it holds a user or a password", allowable: false };
  }
  if (url.hash !== "") return { reason: "fragment", message: "it has a fragment", allowable: false };
  if (!WEB_PORTS.has(url.port) && Number(url.port) < FIRST_FREE_PORT) {
    const message = `its port is neither 80 nor 443 nor one from ${FIRST_FREE_PORT}`;
    return { reason: "port", message, allowable: false };
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  const isPrivate = isIP(host) === 0 ? /(?:^|\.)localhost$/.test(host) : !isPublicAddress(host);
  if (isPrivate && !allowPrivate) {
    return { reason: "private", message: `${host} is not on the public internet`, allowable: true };
  }
  return { url };
}
