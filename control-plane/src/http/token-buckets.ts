import type { Clock } from "../store/clock.ts";

const MINUTE_MS = 60_000;
/** Callers that one limit remembers; of more the one that was quiet for longest is forgotten. */
const MAX_CALLERS = 50_000;

interface Bucket {
  tokens: number;
  at: number;
}

/** `left` calls may follow at once; `fullInSeconds` until all may. Refused when `retryAfterSeconds` is not null. */
export interface Taken {
  readonly left: number;
  readonly fullInSeconds: number;
  readonly retryAfterSeconds: number | null;
}

/** So many calls a minute for each caller: a burst of a minute's worth, then evenly. In memory; a restart forgets. */
export class TokenBuckets {
  readonly perMinute: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock;
    this.perMinute = perMinute;
  }

  take(caller: string): Taken {
    const bucket = this.#filled(caller);
    const isAllowed = bucket.tokens >= 1;
    if (isAllowed) bucket.tokens -= 1;
    const secondsFor = (tokens: number) => Math.ceil((tokens * MINUTE_MS) / this.perMinute / 1_000);
    return {
      left: Math.floor(bucket.tokens),
      fullInSeconds: secondsFor(this.perMinute - bucket.tokens),
      retryAfterSeconds: isAllowed ? null : Math.max(1, secondsFor(1 - bucket.tokens)),
    };
  }

  #filled(caller: string): Bucket {
    const now = this.#clock.monotonic();
    const bucket = this.#buckets.get(caller) ?? { tokens: this.perMinute, at: now };
    bucket.tokens = Math.min(this.perMinute, bucket.tokens + ((now - bucket.at) * this.perMinute) / MINUTE_MS);
    bucket.at = now;
    // The last one in the order is the one that called last.
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    if (this.#buckets.size > MAX_CALLERS) this.#buckets.delete(this.#buckets.keys().next().value as string);
    return bucket;
  }
}
