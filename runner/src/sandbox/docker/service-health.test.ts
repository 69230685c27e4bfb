import { describe, expect, it } from "vitest";
import { planHealth } from "./service-health.ts";

const SECOND_NS = 1e9;

describe("the health check of a service", () => {
  it("is the workflow's, a text for a shell or a program", () => {
    const image = { Test: ["CMD", "image-check"] };
    expect(planHealth({ cmd: "pg_isready" }, image)).toEqual({
      command: ["/bin/sh", "-c", "pg_isready"],
      intervalMs: 1_000,
      timeoutMs: 5_000,
      startPeriodMs: 0,
      retries: 30,
    });
    const full = { cmd: ["probe", "-x"], interval_ms: 2_000, timeout_ms: 3_000, start_period_ms: 4_000, retries: 5 };
    expect(planHealth(full, null)).toEqual({
      command: ["probe", "-x"],
      intervalMs: 2_000,
      timeoutMs: 3_000,
      startPeriodMs: 4_000,
      retries: 5,
    });
  });

  it("else the image's, asked more often but with the same patience", () => {
    const image = {
      Test: ["CMD-SHELL", "curl -f localhost"],
      Interval: 10 * SECOND_NS,
      Retries: 4,
      StartPeriod: SECOND_NS,
    };
    expect(planHealth(undefined, image)).toEqual({
      command: ["/bin/sh", "-c", "curl -f localhost"],
      intervalMs: 1_000,
      timeoutMs: 30_000,
      startPeriodMs: 1_000,
      retries: 40,
    });
  });

  it("is none when neither says one", () => {
    for (const image of [null, {}, { Test: [] }, { Test: ["NONE"] }]) expect(planHealth(undefined, image)).toBeNull();
  });
});
