import type { ProviderError } from "../drivers/driver.ts";
import type { Allowance } from "../policy-port.ts";
import type { PoolLimits, Template } from "../templates/template.ts";
import {
  allowed,
  type Breaker,
  CLOSED,
  ended,
  failed,
  type Failure,
  started,
  stateOf,
  succeeded,
  WINDOW_MS,
} from "./breaker.ts";
import { RateLimit } from "./rate-limit.ts";

const HOUR_MS = 3_600_000;
const FIRST_OUTAGE_MS = 1_000;
const MAX_OUTAGE_MS = 60_000;
const MAX_MESSAGE_CHARS = 500;

export interface Time {
  /** Monotonic, milliseconds. */
  monotonic(): number;
  /** Wall clock, milliseconds. */
  now(): number;
  /** From 0 to below 1. */
  random(): number;
}

export const SYSTEM_TIME: Time = { monotonic: () => performance.now(), now: () => Date.now(), random: Math.random };

/** Faults of the whole provider: no template is to blame. */
function isOutage({ fault }: ProviderError): boolean {
  return fault === "throttled" || fault === "unavailable";
}

/**
 * How many machines each template may make: its circuit, its creations per hour, those of all, and whether the provider answers.
 * One template's failures are nothing to the others.
 */
export class Budgets {
  private readonly time: Time;
  private readonly breakers = new Map<string, Breaker>();
  private readonly hours = new Map<string, RateLimit>();
  private readonly hour = new RateLimit(HOUR_MS);
  private outage: { readonly until: number; readonly pauseMs: number; readonly message: string } | null = null;

  constructor(time: Time) {
    this.time = time;
  }

  allowance(template: Pick<Template, "key" | "maxCreationsPerHour">): Allowance {
    const now = this.time.monotonic();
    if (this.outage && now < this.outage.until)
      return {
        creations: 0,
        fault: this.faultUntil("provider_error", this.outage.message, this.outage.until),
        isTrial: false,
      };
    const breaker = this.breaker(template.key);
    const left = this.hourOf(template.key).left(template.maxCreationsPerHour, now);
    const creations = Math.min(left, allowed(breaker, now));
    const state = stateOf(breaker, now);
    const isTrial = state === "half_open";
    if (state === "closed" || creations > 0) return { creations, fault: null, isTrial };
    const fault = this.faultUntil("circuit_open", breaker.lastError ?? "", breaker.openUntil ?? now);
    return { creations, fault, isTrial };
  }

  creationsLeft(limits: Pick<PoolLimits, "maxCreationsPerHour">): number {
    return this.hour.left(limits.maxCreationsPerHour, this.time.monotonic());
  }

  started(key: string, instance: string): void {
    const now = this.time.monotonic();
    this.hour.note(now);
    this.hourOf(key).note(now);
    this.breakers.set(key, started(this.breaker(key), instance, now));
  }

  registered(key: string, instance: string): void {
    this.breakers.set(key, succeeded(this.breaker(key), instance));
  }

  /** It is gone, and said nothing for or against its template. */
  ended(key: string, instance: string): void {
    this.breakers.set(key, ended(this.breaker(key), instance));
  }

  /** Whose boots are waited for before their templates make more: template key and instance. */
  trials(): { readonly key: string; readonly instance: string }[] {
    return [...this.breakers].flatMap(([key, { probe }]) => (probe === null ? [] : [{ key, instance: probe }]));
  }

  bootFailed(key: string, instance: string, why: string): void {
    this.fail(key, { instance, why, opens: "after-several" });
  }

  /** Its machine was taken away from a job. A market that does so three times in a window is left alone for as long. */
  machineLost(key: string, instance: string, why: string): void {
    this.fail(key, { instance, why, opens: "after-several", minPauseMs: WINDOW_MS });
  }

  creationFailed(key: string, instance: string, error: ProviderError): void {
    if (isOutage(error)) {
      this.providerFailed(error);
      this.ended(key, instance);
      return;
    }
    this.fail(key, { instance, why: error.message, opens: "at-once" });
  }

  /** A call that is no template's own failed. */
  providerFailed(error: ProviderError): void {
    if (!isOutage(error)) return;
    const now = this.time.monotonic();
    if (this.outage && now < this.outage.until) return;
    const pauseMs = this.outage?.pauseMs ?? FIRST_OUTAGE_MS;
    const wait = Math.max(error.retryAfterMs, pauseMs * (1 - this.time.random() / 2));
    this.outage = { until: now + wait, pauseMs: Math.min(MAX_OUTAGE_MS, pauseMs * 2), message: error.message };
  }

  providerAnswered(): void {
    if (this.outage && this.time.monotonic() >= this.outage.until) this.outage = null;
  }

  /** Why nothing can be made at all now; null while the provider answers. */
  outageMessage(): string | null {
    return this.outage?.message ?? null;
  }

  circuit(key: string): ReturnType<typeof stateOf> {
    return stateOf(this.breaker(key), this.time.monotonic());
  }

  /** Forgets templates that are no more. */
  keep(keys: ReadonlySet<string>): void {
    for (const map of [this.breakers, this.hours]) for (const key of map.keys()) if (!keys.has(key)) map.delete(key);
  }

  private fail(key: string, failure: Failure): void {
    const { time } = this;
    this.breakers.set(key, failed(this.breaker(key), failure, time.monotonic(), time.random()));
  }

  private faultUntil(kind: "provider_error" | "circuit_open", message: string, until: number) {
    const next = this.time.now() + Math.max(0, until - this.time.monotonic());
    const text = message.slice(0, MAX_MESSAGE_CHARS) || "no further details";
    return { kind, message: text, next_try_at: new Date(next).toISOString() };
  }

  private breaker(key: string): Breaker {
    return this.breakers.get(key) ?? CLOSED;
  }

  private hourOf(key: string): RateLimit {
    const known = this.hours.get(key) ?? new RateLimit(HOUR_MS);
    this.hours.set(key, known);
    return known;
  }
}
