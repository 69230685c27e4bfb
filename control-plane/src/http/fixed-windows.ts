import { createHmac, randomBytes } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import type { Clock } from "../store/clock.ts";

/** Identifiers that one limit remembers; when they are more, the window that opened first is forgotten. */
const MAX_IDENTIFIERS = 50_000;
const KEY_BYTES = 32;

/** `limit` 0 is off. */
export interface WindowRule {
  readonly limit: number;
  readonly windowMs: number;
}

/**
 * Counts by identifier (an address, an account) in fixed windows, each of which opens with its first count. In memory: a
 * restart forgets, many connections do not help. Identifiers are kept as keyed hashes, under a key of this process.
 */
export class FixedWindows {
  readonly #clock: Clock;
  readonly #rule: WindowRule;
  readonly #key = randomBytes(KEY_BYTES);
  /** In the order in which the windows opened. */
  readonly #windows = new Map<string, { readonly openedAt: number; count: number }>();

  constructor(clock: Clock, rule: WindowRule) {
    this.#clock = clock;
    this.#rule = rule;
  }

  /** Counts one. Throws 429 `rate-limited` with `Retry-After` and `retry_after_seconds` when the window is full. */
  take(identifier: string): void {
    const { limit, windowMs } = this.#rule;
    if (limit === 0) return;
    const now = this.#clock.monotonic();
    const window = this.#open(createHmac("sha256", this.#key).update(identifier).digest("base64url"), now);
    window.count += 1;
    if (window.count <= limit) return;
    const seconds = Math.max(1, Math.ceil((window.openedAt + windowMs - now) / 1_000));
    throw new ApiError("rate-limited", `too many tries; try again in ${seconds} s`, {
      details: { retry_after_seconds: seconds },
      headers: { "retry-after": String(seconds) },
    });
  }

  #open(key: string, now: number): { readonly openedAt: number; count: number } {
    const known = this.#windows.get(key);
    if (known && now - known.openedAt < this.#rule.windowMs) return known;
    this.#windows.delete(key);
    for (const [oldest, { openedAt }] of this.#windows) {
      if (this.#windows.size < MAX_IDENTIFIERS && now - openedAt < this.#rule.windowMs) break;
      this.#windows.delete(oldest);
    }
    const opened = { openedAt: now, count: 0 };
    this.#windows.set(key, opened);
    return opened;
  }
}
