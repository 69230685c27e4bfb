import { ApiError } from "@shipfox/shared/errors";
import type { Clock } from "../store/clock.ts";
import type { Proven } from "./authenticate.ts";
import { accountOf, type UserPrincipal } from "./caller.ts";
import { addressBlock } from "./client-address.ts";
import type { RateClass, RateSettings } from "./rate-class.ts";
import type { Credential, LeasePrincipal, Route, RunnerSessionPrincipal } from "./route.ts";
import { TokenBuckets } from "./token-buckets.ts";

/** `none` for probes, and for routes that count by themselves. */
export function rateClassOf(route: Pick<Route, "method" | "credential" | "needs" | "rate">): RateClass | "none" {
  if (route.rate !== undefined) return route.rate;
  if (route.credential === "none" || route.credential === "registration") return "stranger";
  if (route.credential !== "user") return "machine";
  if (route.method === "GET") return "read";
  if (route.needs === "runs:start") return "run-start";
  return route.needs === "settings:write" || route.needs === "secrets:write" ? "settings" : "write";
}

export class RateLimits {
  readonly #buckets: ReadonlyMap<string, TokenBuckets>;

  constructor(clock: Clock, settings: RateSettings) {
    const limited = Object.entries(settings).filter(([, perMinute]) => perMinute > 0);
    this.#buckets = new Map(limited.map(([name, perMinute]) => [name, new TokenBuckets(clock, perMinute)]));
  }

  /** Counts one call and answers the headers that tell of it. Throws 429 `rate-limited`. */
  take(route: Route, proven: Proven<Credential>, address: string): Record<string, string> {
    const buckets = this.#buckets.get(rateClassOf(route));
    if (!buckets) return {};
    const { left, fullInSeconds, retryAfterSeconds } = buckets.take(callerKey(route.credential, proven, address));
    const headers = {
      "ratelimit-limit": String(buckets.perMinute),
      "ratelimit-remaining": String(left),
      "ratelimit-reset": String(fullInSeconds),
    };
    if (retryAfterSeconds === null) return headers;
    throw new ApiError(
      "rate-limited",
      `more than ${buckets.perMinute} such calls a minute; try again in ${retryAfterSeconds} s`,
      {
        details: { retry_after_seconds: retryAfterSeconds, limit_per_minute: buckets.perMinute },
        headers: { ...headers, "retry-after": String(retryAfterSeconds) },
      },
    );
  }
}

function callerKey(credential: Credential, proven: Proven<Credential>, address: string): string {
  switch (credential) {
    case "none":
    // Of these tokens only the form is known by now, and anybody can make up one for each call.
    case "registration":
    case "provisioner":
      return addressBlock(address);
    case "user":
      return accountOf(proven as UserPrincipal);
    case "runner-session":
    case "lease":
      return (proven as RunnerSessionPrincipal | LeasePrincipal).sessionId;
  }
}
