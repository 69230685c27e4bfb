import type { ApiError } from "@shipfox/shared/errors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { testClock, UNLIMITED } from "../testing/api.ts";
import { RateLimits, rateClassOf } from "./rate-limits.ts";
import type { Route } from "./route.ts";
import { serveApp } from "./served-app.fixture.ts";
import { TokenBuckets } from "./token-buckets.ts";

const READ = { method: "GET", credential: "user", needs: "runs:read" } as unknown as Route;
const ada = { userId: "ada", refreshSessionId: null, token: null };
const refused = (call: () => unknown): ApiError | null => {
  try {
    call();
    return null;
  } catch (error) {
    return error as ApiError;
  }
};

describe("rate limits", () => {
  it("never let through more than a burst and what the time since then allows, and never starve a calm caller", () => {
    const steps = fc.array(fc.record({ waitMs: fc.nat(20_000), calls: fc.nat(40) }), { maxLength: 30 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), steps, (perMinute, plan) => {
        const clock = testClock();
        const buckets = new TokenBuckets(clock, perMinute);
        let [allowed, elapsedMs] = [0, 0];
        for (const { waitMs, calls } of plan) {
          clock.advance(waitMs);
          elapsedMs += waitMs;
          for (let call = 0; call < calls; call += 1) {
            const taken = buckets.take("ada");
            if (taken.retryAfterSeconds === null) allowed += 1;
            else {
              clock.advance(taken.retryAfterSeconds * 1_000);
              elapsedMs += taken.retryAfterSeconds * 1_000;
              expect(buckets.take("ada").retryAfterSeconds).toBeNull();
              allowed += 1;
            }
          }
        }
        expect(allowed).toBeLessThanOrEqual(perMinute + (elapsedMs * perMinute) / 60_000 + 1e-6);
      }),
    );
  });

  it("count each user, each access token and each address for itself, and say when to come again", () => {
    const limits = new RateLimits(testClock(), { ...UNLIMITED, read: 2, stranger: 1 });
    const token = { id: "t", workspaceId: "w", abilities: [] };
    expect(limits.take(READ, ada, "10.0.0.1")).toEqual({
      "ratelimit-limit": "2",
      "ratelimit-remaining": "1",
      "ratelimit-reset": "30",
    });
    limits.take(READ, ada, "10.0.0.2");
    const error = refused(() => limits.take(READ, ada, "10.0.0.3"));
    expect(error).toMatchObject({ code: "rate-limited", details: { retry_after_seconds: 30, limit_per_minute: 2 } });
    expect(error?.headers).toMatchObject({ "retry-after": "30", "ratelimit-remaining": "0" });
    expect(refused(() => limits.take(READ, { ...ada, token }, "10.0.0.1"))).toBeNull();
    const open = { method: "GET", credential: "none" } as unknown as Route;
    expect(refused(() => limits.take(open, null, "2001:db8::1"))).toBeNull();
    expect(refused(() => limits.take(open, null, "2001:db8::2"))?.code).toBe("rate-limited");
    expect(refused(() => limits.take(open, null, "2001:db8:1::1"))).toBeNull();
  });

  it("count registrations by the address, whatever tokens somebody makes up", () => {
    const limits = new RateLimits(testClock(), { ...UNLIMITED, stranger: 2 });
    const register = { method: "POST", credential: "registration" } as unknown as Route;
    const withToken = (token: string, address: string) => refused(() => limits.take(register, { token }, address));
    expect([withToken("a", "10.0.0.1"), withToken("b", "10.0.0.1")]).toEqual([null, null]);
    expect(withToken("c", "10.0.0.1")?.code).toBe("rate-limited");
    expect(withToken("c", "10.0.0.2")).toBeNull();
  });

  it("tell what a route counts towards by its method and what it needs", () => {
    const classOf = (method: string, needs: string) =>
      rateClassOf({ method, credential: "user", needs } as unknown as Route);
    expect([
      classOf("GET", "settings:write"),
      classOf("POST", "runs:start"),
      classOf("PUT", "secrets:write"),
      classOf("PATCH", "settings:write"),
      classOf("POST", "runs:control"),
      rateClassOf({ method: "GET", credential: "none", rate: "none" } as unknown as Route),
      rateClassOf({ method: "POST", credential: "lease" } as unknown as Route),
    ]).toEqual(["read", "run-start", "settings", "settings", "write", "none", "machine"]);
  });

  it("answer 429 before the body is read, on both handlers", async () => {
    const app = await serveApp({ SHIPFOX_RATE_STRANGERS: "2" });
    const call = () => fetch(`${app.url}/auth/login`, { method: "POST", body: "x".repeat(100_000) });
    const replies = [await call(), await call(), await call()];
    expect(replies.map((reply) => reply.status)).toEqual([415, 415, 429]);
    expect(replies[2]?.headers.get("retry-after")).toBe("30");
    expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
    await app.close();
  });
});
