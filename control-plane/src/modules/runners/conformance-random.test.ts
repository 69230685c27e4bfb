import fc from "fast-check";
import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { executionLost } from "../runs/public.ts";
import { FAILED, logLines, ServedPlane, SUCCEEDED, type WireClaim, type WireStep } from "./served-plane.fixture.ts";

const KINDS = [
  "fire",
  "claim",
  "next",
  "report",
  "fail",
  "append",
  "gap",
  "beat",
  "release",
  "cancel",
  "force",
  "expire",
] as const;
const MAX_RUNS = 3;
const commands = fc.array(fc.record({ kind: fc.constantFrom(...KINDS), pick: fc.nat(50), twice: fc.boolean() }), {
  minLength: 10,
  maxLength: 35,
});
const ALLOWED = new Set([200, 204, 404, 409]);

interface Held {
  readonly job: WireClaim;
  step: WireStep | null;
}

/** A careless client: uses every lease it was ever given, whether or not it still holds, and says things twice. */
class Careless {
  readonly runs: string[] = [];
  readonly held: Held[] = [];
  /** Log bytes that were acknowledged, by step. */
  readonly acknowledged = new Map<string, { step: WireStep; length: number }>();
  readonly #plane: ServedPlane;
  readonly #sessions: readonly string[];

  constructor(plane: ServedPlane, sessions: readonly string[]) {
    this.#plane = plane;
    this.#sessions = sessions;
  }

  async act(kind: (typeof KINDS)[number], pick: number): Promise<number> {
    const plane = this.#plane;
    if (kind === "fire") {
      if (this.runs.length < MAX_RUNS)
        this.runs.push(
          await plane.inside.fire("name: t\njobs:\n  a:\n    runner: linux\n    steps: [{ run: 'x' }, { run: 'y' }]\n"),
        );
      return 200;
    }
    if (kind === "claim") {
      const { status, body } = await plane.claim(this.#sessions[pick % this.#sessions.length] as string);
      if (status === 200) this.held.push({ job: body, step: null });
      return status;
    }
    if (kind === "cancel" || kind === "force") {
      const runId = this.runs[pick % Math.max(1, this.runs.length)];
      if (runId === undefined) return 200;
      return (await plane.asUser("POST", `/workflows/runs/${runId}/cancel`, { force: kind === "force" })).status;
    }
    const held = this.held[pick % Math.max(1, this.held.length)];
    return held ? this.#use(kind, held) : 200;
  }

  async #use(kind: (typeof KINDS)[number], held: Held): Promise<number> {
    const plane = this.#plane;
    const { job } = held;
    if (kind === "beat") return (await plane.heartbeat(job)).status;
    if (kind === "release") return (await plane.release(job, "disk_full")).status;
    if (kind === "expire") {
      await expire(plane, job.lease.fence);
      return 200;
    }
    if (kind === "next") {
      const { status, body } = await plane.next(job.lease_token);
      if (status === 200 && body.kind === "step")
        held.step = { id: body.step.id, attempt: body.attempt, lease_token: body.lease_token };
      return status;
    }
    const { step } = held;
    if (step === null) return 200;
    if (kind === "report" || kind === "fail")
      return (await plane.report(step.id, step.lease_token, kind === "fail" ? FAILED : SUCCEEDED)).status;
    const length = this.acknowledged.get(step.id)?.length ?? 0;
    const reply = await plane.append(step, kind === "gap" ? length + 1 : length, logLines("a line"));
    if (reply.status === 200) this.acknowledged.set(step.id, { step, length: reply.body.committed_length });
    return reply.status;
  }
}

async function expire(plane: ServedPlane, fence: number): Promise<void> {
  const { dispatch, store } = plane.inside;
  const live = dispatch.leases.get(fence);
  if (!live) return;

  await store.write(async (tx) => {
    const loss = { cause: "runner_lost", message: "gone", avoidedSessionId: null } as const;
    await executionLost(tx, dispatch.runs, live.executionId, loss, Date.now());
    await dispatch.end(tx, { fence, job_execution_id: live.executionId }, "expired", Date.now());
  });
}

const LIVE = `select job_id, count(*) as live from leases where workspace_id = ? and state = 'live' and ended_at is null group by job_id`;
const RESULTS = `select e.id, e.status, e.status_reason, e.failure_cause from job_executions e where e.workspace_id = ? and e.finished_at is not null`;

/** I2: each job has at most one holder. Answers what has ended, which nothing may change any more. */
async function snapshot(plane: ServedPlane): Promise<Map<string, string>> {
  const { store, workspaceId } = plane.inside;
  return store.read(async (tx) => {
    for (const { live } of await tx.all<{ live: number }>(LIVE, [workspaceId])) expect(live).toBeLessThanOrEqual(1);
    const ended = await tx.all<{ id: string }>(RESULTS, [workspaceId]);
    return new Map(ended.map((row) => [row.id, JSON.stringify(row)]));
  });
}

/** Runners that do their work: until every run has ended. */
async function workOff(plane: ServedPlane, runs: readonly string[]): Promise<void> {
  for (const { fence } of plane.inside.dispatch.leases.all()) await expire(plane, fence);
  const session = await plane.session();
  for (let round = 0; round < 60; round += 1) {
    const states = await Promise.all(runs.map((runId) => plane.inside.run(runId)));
    if (states.every(({ status }) => status !== "pending" && status !== "running")) return;
    await plane.inside.runDue(Date.now() + 60_000);
    const { status, body } = await plane.claim(session);
    if (status === 200) await plane.inside.finish(body.job_execution_id);
  }
}

describeStores("whatever clients say, in whatever order", (open) => {
  it("each run ends once, each job has one holder, what ended stays so, and what was acknowledged is there", async () => {
    const store = await open();
    await fc.assert(
      fc.asyncProperty(commands, async (sequence) => {
        const plane = await ServedPlane.start(store, { settings: { avoidMs: 0 } });
        const client = new Careless(plane, [await plane.session(), await plane.session()]);
        await client.act("fire", 0);
        let ended = await snapshot(plane);
        for (const { kind, pick, twice } of sequence) {
          const calls = twice ? [client.act(kind, pick), client.act(kind, pick)] : [client.act(kind, pick)];
          for (const status of await Promise.all(calls))
            expect([kind, ALLOWED.has(status), status]).toEqual([kind, true, status]);
          const now = await snapshot(plane);
          for (const [id, result] of ended) expect(now.get(id)).toBe(result);
          ended = now;
        }
        for (const { step, length } of client.acknowledged.values()) {
          const { status, body } = await plane.append(step, 0, "");
          expect([status, body.committed_length]).toEqual([200, length]);
        }
        await workOff(plane, client.runs);
        for (const runId of client.runs) {
          const run = await plane.inside.run(runId);
          expect(["succeeded", "failed", "cancelled"]).toContain(run.status);
          expect(run.events.filter((type) => type === "run.finished")).toHaveLength(1);
        }
      }),
      { numRuns: 12 },
    );
  });
});
