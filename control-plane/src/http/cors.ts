import type { IncomingMessage, ServerResponse } from "node:http";

const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const REQUEST_HEADERS = "authorization, content-type, idempotency-key, last-event-id, prefer, x-request-id";
const EXPOSED_HEADERS =
  "idempotency-replayed, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, x-request-id";
/** Browsers ask again after an hour. */
const PREFLIGHT_SECONDS = 3_600;
const ORIGIN = /^https?:\/\/(?:\*\.)?[a-z0-9.-]+(?::\d{1,5})?$/;
/** A wildcard over one of these would let in everybody who can have a name there. */
const MIN_NAMED_LABELS = 2;

/** Which pages of other hosts may call with a user's credential. */
export class AllowedOrigins {
  readonly #exact = new Set<string>();
  readonly #suffixes: { readonly scheme: string; readonly suffix: string }[] = [];

  /** `origins` as `https://app.example.com` or, for all names directly below a host, `https://*.example.com`. */
  constructor(origins: readonly string[]) {
    for (const origin of origins) {
      const [scheme = "", host = ""] = origin.split("://");
      if (host.startsWith("*.")) this.#suffixes.push({ scheme, suffix: host.slice(1) });
      else this.#exact.add(origin);
    }
  }

  allows(origin: string): boolean {
    if (this.#exact.has(origin)) return true;
    const [scheme, host = ""] = origin.toLowerCase().split("://");
    return this.#suffixes.some(
      (allowed) =>
        allowed.scheme === scheme &&
        host.endsWith(allowed.suffix) &&
        /^[a-z0-9-]+$/.test(host.slice(0, -allowed.suffix.length)),
    );
  }
}

/** Null, or what is wrong with an entry of the setting. */
export function originFault(origin: string): string | null {
  if (!ORIGIN.test(origin)) return `${JSON.stringify(origin)} is not an origin such as https://app.example.com`;
  const [, wildcard] = /:\/\/\*\.([^:]+)/.exec(origin) ?? [];
  if (wildcard !== undefined && wildcard.split(".").length < MIN_NAMED_LABELS)
    return `${JSON.stringify(origin)} would let in a whole top-level domain`;
  return null;
}

/** Says what a page of another origin may do. True when that was all it asked: the reply is written. */
export function answerCors(incoming: IncomingMessage, response: ServerResponse, allowed: AllowedOrigins): boolean {
  const origin = incoming.headers.origin;
  if (origin === undefined) return false;
  response.setHeader("vary", "origin");
  const isAllowed = allowed.allows(origin);
  if (isAllowed) {
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-allow-credentials", "true");
    response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
  }
  const isPreflight = incoming.method === "OPTIONS" && "access-control-request-method" in incoming.headers;
  if (!isPreflight) return false;
  if (isAllowed) {
    response.setHeader("access-control-allow-methods", METHODS);
    response.setHeader("access-control-allow-headers", REQUEST_HEADERS);
    response.setHeader("access-control-max-age", String(PREFLIGHT_SECONDS));
  }
  response.writeHead(204).end();
  return true;
}
