import fc from "fast-check";
import { expect, it } from "vitest";
import { executionLost } from "./modules/runs/public.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { startTriggers } from "./triggers.fixture.ts";

type Action = "event" | "close" | "claim" | "succeed" | "fail" | "lose" | "late" | "again" | "cancel";

/** What happens at once. */
const rounds = fc.array(
  fc.uniqueArray(
    fc.oneof(
      { weight: 12, arbitrary: fc.constant<Action>("event") },
      { weight: 20, arbitrary: fc.constantFrom<Action>("claim", "succeed", "fail", "lose") },
      { weight: 6, arbitrary: fc.constantFrom<Action>("late", "again") },
      { weight: 1, arbitrary: fc.constantFrom<Action>("close", "cancel") },
    ),
    { minLength: 1, maxLength: 4 },
  ),
  { minLength: 4, maxLength: 16 },
);
const listenings = fc.constantFrom(
  "",
  "max_executions: 2, ",
  "on_resolve: cancel, ",
  "batch: { max_size: 2, max_wait: 5s }, ",
  "batch: { debounce: 2s }, max_executions: 3, ",
);

async function start(store: Store, listening: string) {
  const world = await startTriggers(store);
  const { plane, clock } = world;
  const { sessionId } = await plane.register();
  const runId = await plane.fire(`name: test
runner: linux
jobs:
  listen:
    listening: { ${listening}on: [{ source: git, event: tag }], until: [{ source: git, event: close }] }
    steps: [{ run: "true" }]
`);
  let claimed: string | null = null;
  const route = () => world.routing().runDue(clock.now());
  const finish = async (fail?: number) => {
    if (claimed !== null) await plane.finish(claimed, fail);
  };
  const actions: Record<Action, () => Promise<unknown>> = {
    event: async () => {
      await world.receive({ event: "tag" });
      await route();
    },
    close: async () => {
      await world.receive({ event: "close" });
      await route();
    },
    claim: async () => {
      claimed = (await plane.claim(sessionId))?.executionId ?? claimed;
    },
    succeed: () => finish(),
    fail: () => finish(1),
    lose: () =>
      store.write(async (tx) => {
        const loss = { cause: "draining", message: "gone", avoidedSessionId: null } as const;
        if (claimed !== null) await executionLost(tx, plane.dispatch.runs, claimed, loss, clock.now());
      }),
    late: async () => {
      clock.advance(3_000);
      await plane.runDue(clock.now());
    },
    again: () => Promise.all([route(), route(), plane.runDue(clock.now())]),
    cancel: () => plane.cancel(runId).catch(() => undefined),
  };
  return {
    runId,
    plane,
    play: async (happening: readonly Action[]) => {
      clock.advance(Math.max(1, Date.now() + 1 - clock.now()));
      await Promise.all(happening.map((action) => actions[action]()));
    },
    /** Whatever is left to do is done. */
    settle: async () => {
      await actions.close();
      await plane.work(sessionId);
      if (claimed !== null) await plane.finish(claimed);
    },
  };
}

interface Execution {
  readonly id: string;
  readonly sequence: number;
  readonly firing: number;
  readonly retry_of: string | null;
  readonly status: string;
}

const EXECUTIONS =
  "select id, sequence, firing, retry_of, status from job_executions where run_id = ? order by sequence";
const TAKEN = `select e.event_id, e.firing from listener_events e join listeners l on l.job_id = e.job_id
  where l.run_id = ? order by e.received_at, e.event_id`;
const DECIDED = `select t.event_id, count(*) as times from trigger_decisions t where t.workflow_run_id = ? group by t.event_id`;
const OPEN = "select count(*) as open from job_executions where run_id = ? and status in ('pending', 'running')";
const LEFT = `select (select count(*) from listener_subscriptions s join jobs j on j.id = s.job_id where j.run_id = ?) as subscriptions,
  (select count(*) from listener_events e join jobs j on j.id = e.job_id where j.run_id = ? and e.firing is null) as waiting,
  (select count(*) from listeners where run_id = ? and due_at is not null) as due`;

describeStores("a listening job, whatever happens at once", (open) => {
  it("runs one execution at a time, takes each event once, and resolves and ends once", {
    timeout: 120_000,
  }, async () => {
    const store = await open();
    await fc.assert(
      fc.asyncProperty(listenings, rounds, async (listening, happenings) => {
        const { runId, plane, play, settle } = await start(store, listening);
        const read = <Row>(sql: string, params = [runId]) => store.read((tx) => tx.all<Row>(sql, params));
        for (const happening of happenings) {
          await play(happening);
          expect((await read<{ open: number }>(OPEN))[0]?.open).toBeLessThanOrEqual(1);
        }
        await settle();

        const { events, jobs } = await plane.run(runId);
        expect(jobs.every(({ status }) => ["succeeded", "failed", "cancelled"].includes(status))).toBe(true);
        for (const once of ["job.listening", "job.resolved", "job.finished", "run.started", "run.finished"])
          expect(events.filter((type) => type === once)).toHaveLength(1);
        expect(await read(LEFT, [runId, runId, runId])).toEqual([{ subscriptions: 0, waiting: 0, due: 0 }]);

        const executions = await read<Execution>(EXECUTIONS);
        expect(executions.map(({ sequence }) => sequence)).toEqual(executions.map((_, index) => index + 1));
        for (const [index, { retry_of: replaced, firing }] of executions.entries()) {
          const before = executions[index - 1];
          if (replaced === null) expect(firing).toBe((before?.firing ?? 0) + 1);
          else expect([replaced, firing]).toEqual([before?.id, before?.firing]);
        }
        const taken = await read<{ event_id: string; firing: number }>(TAKEN);
        const firings = taken.map(({ firing }) => firing);
        expect(firings).toEqual(firings.toSorted((a, b) => a - b));
        expect(new Set(firings)).toEqual(new Set(executions.map(({ firing }) => firing)));
        for (const { times } of await read<{ times: number }>(DECIDED)) expect(times).toBe(1);
      }),
      { numRuns: 12 },
    );
  });
});
