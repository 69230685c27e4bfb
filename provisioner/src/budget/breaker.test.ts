import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  allowed,
  type Breaker,
  CLOSED,
  ended,
  failed,
  FIRST_PAUSE_MS,
  MAX_FAILURES,
  MAX_PAUSE_MS,
  started,
  stateOf,
  succeeded,
  WINDOW_MS,
} from "./breaker.ts";

const failure = (instance: string, opens: "at-once" | "after-several" = "after-several") => ({
  instance,
  why: "no boot",
  opens,
});
const many = (now: number): Breaker =>
  Array.from({ length: MAX_FAILURES }).reduce<Breaker>(
    (breaker, _, index) => failed(breaker, failure(`i${index}`), now, 0),
    CLOSED,
  );

describe("the circuit of a template", () => {
  it("opens after several failures within the window, and not for as many over a longer time", () => {
    expect(stateOf(many(0), 1)).toBe("open");
    let slow = CLOSED;
    for (let index = 0; index < 10; index += 1) slow = failed(slow, failure("i"), index * (WINDOW_MS / 2 + 1), 0);
    expect(stateOf(slow, 10 * WINDOW_MS)).toBe("closed");
  });

  it("stays open for as long as a failure asks at least", () => {
    const long = failed(CLOSED, { ...failure("i", "at-once"), minPauseMs: WINDOW_MS }, 0, 0.9);
    expect(stateOf(long, WINDOW_MS - 1)).toBe("open");
    expect(stateOf(long, WINDOW_MS)).toBe("half_open");
  });

  it("opens at once when the provider says no", () => {
    expect(stateOf(failed(CLOSED, failure("i", "at-once"), 0, 0), 1)).toBe("open");
  });

  it("lets one machine probe it, which closes it or keeps it open for longer", () => {
    const later = FIRST_PAUSE_MS;
    const probing = started(many(0), "probe", later);
    expect([allowed(many(0), later - 1), allowed(many(0), later), allowed(probing, later)]).toEqual([0, 1, 0]);
    expect(succeeded(probing, "other")).toBe(probing);
    expect(succeeded(probing, "probe")).toBe(CLOSED);
    const again = failed(probing, failure("probe"), later, 0);
    expect(allowed(again, later + 2 * FIRST_PAUSE_MS - 1)).toBe(0);
    expect(allowed(again, later + 2 * FIRST_PAUSE_MS)).toBe(1);
    expect(allowed(ended(probing, "probe"), later)).toBe(1);
  });

  it("never lets a second probe out, and never pauses longer than its bound", () => {
    const event = fc.record({
      kind: fc.constantFrom("start", "fail", "refuse", "register", "end"),
      instance: fc.constantFrom("a", "b", "c", "d"),
      after: fc.integer({ min: 0, max: MAX_PAUSE_MS }),
      random: fc.double({ min: 0, max: 0.99, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.array(event), (events) => {
        let breaker = CLOSED;
        let now = 0;
        for (const { kind, instance, after, random } of events) {
          now += after;
          if (kind === "start" && allowed(breaker, now) > 0) breaker = started(breaker, instance, now);
          if (kind === "fail") breaker = failed(breaker, failure(instance), now, random);
          if (kind === "refuse") breaker = failed(breaker, failure(instance, "at-once"), now, random);
          if (kind === "register") breaker = succeeded(breaker, instance);
          if (kind === "end") breaker = ended(breaker, instance);
          if (breaker.openUntil !== null)
            expect(allowed(breaker, now)).toBeLessThanOrEqual(breaker.probe === null ? 1 : 0);
          expect((breaker.openUntil ?? now) - now).toBeLessThanOrEqual(MAX_PAUSE_MS);
        }
      }),
    );
  });
});
