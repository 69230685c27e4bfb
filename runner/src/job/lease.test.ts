import { createLogger } from "@shipfox/shared/logger";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type PlaneHandler, StandInPlane } from "../control-plane/stand-in-plane.fixture.ts";
import type { Guard } from "../guard/guard-process.ts";
import { startTestGuard } from "../guard/test-guard.fixture.ts";
import { Lease } from "./lease.ts";
import { StopSwitch } from "./stop.ts";

const ID = "11111111-1111-7111-8111-111111111111";

let plane: StandInPlane;
let guard: Guard;
let calls: string[];
let stop: StopSwitch;
let lease: Lease;
let drained: PromiseWithResolvers<void>;
let resumed: PromiseWithResolvers<void>;
let tokens: string[];

beforeEach(async () => {
  plane = new StandInPlane();
  await plane.start();
  guard = await startTestGuard({ baseUrl: plane.url });
  calls = [];
  stop = new StopSwitch();
  drained = Promise.withResolvers();
  resumed = Promise.withResolvers();
  tokens = [];
});

afterEach(async () => {
  lease.end();
  await guard.close();
  await plane.stop();
});

function startLease(
  handler: PlaneHandler,
  options: { intervalMs?: number; outageLimitMs?: number; termMs?: number; onPause?: () => Promise<void> } = {},
): Lease {
  plane.on(/heartbeat$/, handler);
  lease = new Lease({
    keeper: guard,
    claim: {
      workflow_run_id: ID,
      workflow_run_attempt_id: ID,
      job_id: ID,
      job_execution_id: ID,
      lease_token: "lease-0",
      lease: { fence: 1, term_ms: options.termMs ?? 40_000, heartbeat_interval_ms: options.intervalMs ?? 20 },
    },
    capabilities: { sandbox: "host" },
    stop,
    outageLimitMs: options.outageLimitMs ?? 60_000,
    logger: createLogger("test", "silent"),
    onDrain: () => drained.resolve(),
    onToken: (token) => tokens.push(token),
    onPause: async () => {
      calls.push("pause");
      await options.onPause?.();
    },
    onResume: async () => {
      calls.push("resume");
      resumed.resolve();
    },
  });
  lease.start();
  return lease;
}

const stopped = () =>
  new Promise<void>((resolve) =>
    stop.signal.aborted ? resolve() : stop.signal.addEventListener("abort", () => resolve()),
  );
const beat = (number: number, more: object = {}) => ({
  status: 200,
  json: { cancel: false, lease_token: `lease-${number}`, ...more },
});

describe("a lease", () => {
  it("renews itself, each time with the newest token, until it is cancelled", async () => {
    let count = 0;
    startLease(() => beat(++count, { cancel: count === 3 }));
    await stopped();
    expect(stop.stop).toEqual({ kind: "cancelled" });
    expect(plane.requests.slice(0, 3).map((request) => request.token)).toEqual(["lease-0", "lease-1", "lease-2"]);
    expect(JSON.parse(plane.requests[0]?.body.toString() ?? "")).toEqual({ capabilities: { sandbox: "host" } });
    expect(tokens.slice(0, 4)).toEqual(["lease-0", "lease-1", "lease-2", "lease-3"]);
  });

  it("goes on asking while the job is being cancelled, so that a forced cancel takes the grace away", async () => {
    let count = 0;
    startLease(() => beat(++count, count === 1 ? { cancel: true } : { cancel: true, force: true }));
    await new Promise<void>((resolve) => stop.hardSignal.addEventListener("abort", () => resolve()));
    expect(stop.stop).toEqual({ kind: "cancelled", force: true });
    expect(plane.requests.map((request) => request.query.get("cancelling"))).toEqual([null, "true"]);
  });

  it("waits on the server for most of the interval when that is longer than a second", async () => {
    startLease(() => beat(1, { cancel: true }), { intervalMs: 10_000 });
    await stopped();
    expect(plane.requests[0]?.query.get("wait_seconds")).toBe("8");
  });

  it("keeps the token of a step that arrived while a heartbeat was under way", async () => {
    const underWay = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    let count = 0;
    startLease(async () => {
      count += 1;
      if (count > 1) return beat(9, { cancel: true });
      underWay.resolve();
      await answer.promise;
      return beat(1);
    });
    await underWay.promise;
    const tokenOfStep = lease.adoptStepToken("step-token");
    answer.resolve();
    await stopped();
    expect(plane.requests[1]?.token).toBe("step-token");
    expect(tokenOfStep()).toBe("lease-9");
    lease.adoptStepToken("next-step-token");
    expect(tokenOfStep()).toBe("lease-9");
    expect(lease.token).toBe("next-step-token");
  });

  it("passes on that the plane wants the runner to drain", async () => {
    startLease(() => beat(1, { drain: true }));
    await drained.promise;
    expect(stop.signal.aborted).toBe(false);
  });

  it("survives refusals for a while and dropped connections", async () => {
    let count = 0;
    startLease(() => {
      count += 1;
      if (count === 1) return "drop";
      if (count === 2) return { status: 503 };
      return beat(1, { cancel: true });
    });
    await stopped();
    expect(stop.stop).toEqual({ kind: "cancelled" });
  });

  it("is lost when the plane does not know it any more, with the reason", async () => {
    startLease(() => ({
      status: 404,
      json: { code: "running-job-execution-not-found", details: { reason: "expired" } },
    }));
    await stopped();
    expect(stop.stop).toMatchObject({ kind: "lost", why: expect.stringContaining("(expired)") });
    expect(stop.hardSignal.aborted).toBe(true);
  });

  it("kills at once when the lease was ended by a forced cancel", async () => {
    const details = { reason: "cancelled" };
    startLease(() => ({ status: 404, json: { code: "running-job-execution-not-found", details } }));
    await stopped();
    expect(stop.stop).toEqual({ kind: "cancelled", force: true });
    expect(stop.hardSignal.aborted).toBe(true);
  });

  it("is lost when nothing was answered for the outage limit", async () => {
    startLease(() => "drop", { outageLimitMs: 30 });
    await stopped();
    expect(stop.stop).toMatchObject({ kind: "lost", why: expect.stringContaining("did not answer") });
  });

  it("goes on while the plane hangs up on us, for longer than its term", async () => {
    let count = 0;
    startLease(() => (++count < 8 ? "drop" : beat(1, { cancel: true })), { termMs: 100 });
    await stopped();
    expect(stop.stop).toEqual({ kind: "cancelled" });
    expect(calls).toEqual([]);
  });

  it("makes the job stand still while nothing is heard, and go on with the first answer", async () => {
    const silence = Promise.withResolvers<void>();
    startLease(
      async () => {
        await silence.promise;
        return beat(1);
      },
      { termMs: 600, onPause: async () => silence.resolve() },
    );
    await resumed.promise;
    expect(calls).toEqual(["pause", "resume"]);
    expect(stop.signal.aborted).toBe(false);
    expect(guard.status().leases).toMatchObject([{ jobId: ID, contact: "held" }]);
  });

  it("is lost when the first answer after the silence is that somebody else has the job", async () => {
    const silence = Promise.withResolvers<void>();
    startLease(
      async () => {
        await silence.promise;
        return { status: 404, json: { code: "running-job-execution-not-found", details: { reason: "superseded" } } };
      },
      { termMs: 600, onPause: async () => silence.resolve() },
    );
    await stopped();
    expect(calls).toEqual(["pause"]);
    expect(stop.stop).toMatchObject({ kind: "lost", why: expect.stringContaining("(superseded)") });
  });

  it("is lost when the job cannot be made to stand still", async () => {
    startLease(() => new Promise(() => {}), {
      termMs: 600,
      onPause: async () => {
        throw new Error("Docker does not answer");
      },
    });
    await stopped();
    expect(stop.stop).toMatchObject({ kind: "lost", why: expect.stringContaining("Docker does not answer") });
  });

  it("is not lost by the 404 of a proxy that has no plane behind it", async () => {
    let count = 0;
    startLease(() => (++count === 1 ? { status: 404, json: {} } : beat(1, { cancel: true })));
    await stopped();
    expect(stop.stop).toEqual({ kind: "cancelled" });
  });
});
