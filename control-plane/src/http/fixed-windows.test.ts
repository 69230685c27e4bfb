import { describe, expect, it } from "vitest";
import { testClock } from "../testing/api.ts";
import { FixedWindows } from "./fixed-windows.ts";

describe("FixedWindows", () => {
  it("lets so many through in each window, and says when the next opens", () => {
    const clock = testClock();
    const windows = new FixedWindows(clock, { limit: 2, windowMs: 10_000 });
    windows.take("ada");
    clock.advance(4_500);
    windows.take("ada");
    expect(() => windows.take("ada")).toThrow(
      expect.objectContaining({ code: "rate-limited", details: { retry_after_seconds: 6 } }),
    );
    windows.take("bob");
    clock.advance(5_500);
    windows.take("ada");
  });
  it("is off with 0", () => {
    const windows = new FixedWindows(testClock(), { limit: 0, windowMs: 10_000 });
    const calls = Array.from({ length: 1_000 }, () => () => windows.take("ada"));
    for (const call of calls) expect(call).not.toThrow();
  });
  it("forgets the oldest of very many identifiers, not the newest", () => {
    const windows = new FixedWindows(testClock(), { limit: 1, windowMs: 10_000 });
    for (let at = 0; at <= 50_000; at += 1) windows.take(`address ${at}`);
    expect(() => windows.take("address 50000")).toThrow("too many tries");
    windows.take("address 0");
  });
});
