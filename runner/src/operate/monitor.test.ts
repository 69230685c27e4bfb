import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Monitor } from "./monitor.ts";
import { healthOf, isReady } from "./status.ts";
import { whyStarved } from "./service.ts";

const OUTAGE_LIMIT_MS = 3_600_000;
const MINUTE_MS = 60_000;
const progress = {
  runId: "run",
  jobId: "job",
  executionId: "execution",
  project: null,
  workflow: null,
  runNumber: null,
  job: null,
  startedAt: 0,
  step: null,
};

let monitor: Monitor;

beforeEach(() => {
  vi.useFakeTimers();
  monitor = new Monitor({ labels: ["linux"], concurrency: 1 });
});

afterEach(() => void vi.useRealTimers());

describe("health", () => {
  it("counts failed calls as an outage after two minutes, until the next answer", () => {
    monitor.answered();
    vi.advanceTimersByTime(10 * MINUTE_MS);
    expect(healthOf(monitor).state).toBe("healthy");
    monitor.notAnswered("connection refused");
    vi.advanceTimersByTime(MINUTE_MS);
    monitor.notAnswered("connection refused");
    expect(healthOf(monitor).state).toBe("healthy");
    vi.advanceTimersByTime(2 * MINUTE_MS);
    expect(healthOf(monitor)).toEqual({
      state: "unhealthy",
      reason: "no contact with the control plane for 180 s: connection refused",
    });
    monitor.answered();
    expect(healthOf(monitor).state).toBe("healthy");
  });

  it("has the reason of a fault until it is gone, and is not ready meanwhile", () => {
    monitor.session = { id: "s", runnerId: "r", openedAt: 0 };
    monitor.isAskingForJobs = true;
    expect(isReady(monitor)).toBe(true);
    monitor.setFault("sandbox", "no Docker");
    expect([healthOf(monitor), isReady(monitor)]).toEqual([{ state: "unhealthy", reason: "no Docker" }, false]);
    monitor.setFault("sandbox", null);
    expect(isReady(monitor)).toBe(true);
    monitor.drainingSince = 1;
    expect([healthOf(monitor).state, isReady(monitor)]).toEqual(["draining", false]);
  });

  it("tells the age of the oldest heartbeat of the jobs that run", () => {
    expect(monitor.heartbeatAgeMs).toBeNull();
    const jobs = [{ progress }, { progress: { ...progress, jobId: "other" } }];
    for (const job of jobs) monitor.jobStarted(job);
    vi.advanceTimersByTime(9_000);
    monitor.heartbeatAnswered("other");
    expect(monitor.heartbeatAgeMs).toBe(9_000);
    monitor.jobEnded({ progress }, "finished", null);
    for (const job of jobs) monitor.jobEnded(job, "finished", null);
    expect(monitor.heartbeatAgeMs).toBeNull();
  });
});

describe("the watchdog", () => {
  it("is fed while the claim loop keeps its word, and not when a wait goes on for longer", () => {
    monitor.waiting("a claim", 65_000);
    vi.advanceTimersByTime(2 * MINUTE_MS);
    expect(whyStarved(monitor, OUTAGE_LIMIT_MS)).toBeNull();
    vi.advanceTimersByTime(10_000);
    expect(whyStarved(monitor, OUTAGE_LIMIT_MS)).toMatch(/the claim loop hangs: "a claim" has lasted 130 s/);
    monitor.waiting("a free place", null);
    vi.advanceTimersByTime(100 * OUTAGE_LIMIT_MS);
    expect(whyStarved(monitor, OUTAGE_LIMIT_MS)).toBeNull();
  });

  it("is fed through an outage: as long as the limit, and longer while jobs run", () => {
    monitor.notAnswered("no route");
    monitor.waiting("registration", null);
    vi.advanceTimersByTime(OUTAGE_LIMIT_MS);
    expect(whyStarved(monitor, OUTAGE_LIMIT_MS)).toBeNull();
    vi.advanceTimersByTime(MINUTE_MS);
    expect(whyStarved(monitor, OUTAGE_LIMIT_MS)).toMatch(/no contact/);
    monitor.jobStarted({ progress });
    expect(whyStarved(monitor, OUTAGE_LIMIT_MS)).toBeNull();
  });
});
