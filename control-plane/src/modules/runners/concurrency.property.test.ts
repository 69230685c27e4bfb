import assert from "node:assert/strict";
import { ApiError } from "@shipfox/shared/errors";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { runDueLeases } from "../dispatch/public.ts";
import { TestPlane } from "./test-plane.ts";

// Random starts, ends, cancels, lost runners, time-outs and replacements over two groups, on a whole control plane.

type Action =
  | { readonly kind: "fire"; readonly shape: number; readonly group: "a" | "b"; readonly onBusy: "queue" | "replace" }
  | { readonly kind: "claim" | "grace" | "due" | "backOff" | "timeOut" }
  | { readonly kind: "finish" | "giveBack" | "rerun"; readonly pick: number }
  | { readonly kind: "cancel"; readonly pick: number; readonly force: boolean };

const fire = fc.record({
  kind: fc.constant("fire" as const),
  shape: fc.nat({ max: 3 }),
  group: fc.constantFrom("a" as const, "b" as const),
  onBusy: fc.constantFrom("queue" as const, "queue" as const, "replace" as const),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  { arbitrary: fire, weight: 5 },
  { arbitrary: fc.constant({ kind: "claim" as const }), weight: 6 },
  {
    arbitrary: fc.record({ kind: fc.constantFrom("finish" as const, "giveBack" as const), pick: fc.nat() }),
    weight: 6,
  },
  {
    arbitrary: fc.record({ kind: fc.constant("cancel" as const), pick: fc.nat(), force: fc.boolean() }),
    weight: 2,
  },
  { arbitrary: fc.record({ kind: fc.constant("rerun" as const), pick: fc.nat() }), weight: 1 },
  { arbitrary: fc.constantFrom<Action>({ kind: "grace" }, { kind: "due" }, { kind: "backOff" }), weight: 4 },
  { arbitrary: fc.constant<Action>({ kind: "timeOut" }), weight: 1 },
);

const STEPS = 'steps: [{ name: go, run: "true" }]';
/** One job; a chain in one group; a matrix in one group; jobs of both groups that need each other. */
const SHAPES = [
  (own: string) => `  a:\n    ${own}\n    retry: 1\n    ${STEPS}\n`,
  (own: string) => `  a:\n    ${own}\n    ${STEPS}\n  b:\n    needs: a\n    ${own}\n    ${STEPS}\n`,
  (own: string) => `  a:\n    matrix: { v: [1, 2, 3], max_parallel: 2 }\n    ${own}\n    ${STEPS}\n`,
  (own: string) => `  a:\n    ${own}\n    ${STEPS}\n  b:\n    needs: a\n    concurrency: b\n    ${STEPS}\n`,
];
/** Longer than any wait before a retry, shorter than any time limit. */
const BACK_OFF_MS = 60_000;
const LATER_MS = 10 * 3_600_000;

class Play {
  readonly plane: TestPlane;
  readonly runs: string[] = [];
  #sessionId = "";

  constructor(plane: TestPlane) {
    this.plane = plane;
  }

  async start(): Promise<void> {
    this.#sessionId = (await this.plane.register()).sessionId;
  }

  async act(action: Action): Promise<void> {
    const { plane } = this;
    switch (action.kind) {
      case "fire": {
        const own = `concurrency: { group: ${action.group}, on_busy: ${action.onBusy} }`;
        const shape = SHAPES[action.shape] as (own: string) => string;
        this.runs.push(await plane.fire(`name: Deploy\nrunner: linux\njobs:\n${shape(own)}`));
        return;
      }
      case "claim":
        // A session passes over the job that it gave back for a while.
        if ((await plane.claim(this.#sessionId)) === null) await this.start();
        return;
      case "finish": {
        const lease = await this.#lease("live", action.pick);
        if (lease) await plane.finish(lease.job_execution_id, action.pick % 4 === 0 ? 1 : undefined);
        return;
      }
      case "giveBack": {
        const lease = await this.#lease(action.pick % 2 === 0 ? "live" : "cancelling", action.pick);
        if (lease) await plane.release(lease.fence);
        return;
      }
      case "cancel":
      case "rerun": {
        const runId = this.runs[action.pick % Math.max(1, this.runs.length)];
        if (runId === undefined) return;
        if (action.kind === "cancel") await plane.cancel(runId, action.force);
        else await plane.rerun(runId, "all");
        return;
      }
      case "grace":
        await runDueLeases(plane.dispatch, Date.now() + 2 * LATER_MS);
        return;
      case "due":
        await plane.runDueMembers();
        return;
      case "backOff":
        await plane.runDue(Date.now() + BACK_OFF_MS);
        return;
      case "timeOut":
        await plane.runDue(Date.now() + LATER_MS);
        return;
    }
  }

  /** Refusals, such as of a cancel of what has ended, are no faults. */
  async try(action: Action): Promise<void> {
    await this.act(action).catch((error: unknown) => {
      if (!(error instanceof ApiError)) throw error;
    });
  }

  async #lease(state: "live" | "cancelling", pick: number) {
    const leases = await this.plane.store.read((tx) =>
      tx.all<{ fence: number; job_execution_id: string }>(
        "select fence, job_execution_id from leases where ended_at is null and state = ? order by fence",
        [state],
      ),
    );
    return leases[pick % Math.max(1, leases.length)];
  }

  /** Executions of each group that a runner has, or could take now. */
  async going(): Promise<number[]> {
    const rows = await this.plane.store.read((tx) =>
      tx.all<{ going: number }>(
        `select count(*) as going from jobs j join job_executions e on e.job_id = j.id
         where j.concurrency_group is not null
           and (exists (select 1 from queue q where q.job_execution_id = e.id)
             or exists (select 1 from leases l where l.job_execution_id = e.id and l.ended_at is null))
         group by j.project_id, j.concurrency_group`,
      ),
    );
    return rows.map(({ going }) => going);
  }

  /** Nobody cancels any more, and runners do what they are given, until nothing is left to do. */
  async drain(): Promise<void> {
    for (let round = 0; round < 300; round += 1) {
      if ((await this.#open()) === 0) return;
      await this.act({ kind: "due" });
      await this.act({ kind: "grace" });
      await this.act({ kind: "backOff" });
      await this.act({ kind: "claim" });
      await this.act({ kind: "finish", pick: 1 });
      assert(Math.max(0, ...(await this.going())) <= 1);
    }
    assert.equal(await this.#open(), 0);
  }

  async #open(): Promise<number> {
    const sql = `select (select count(*) from runs where finished_at is null)
      + (select count(*) from leases where ended_at is null) as open`;
    return (await this.plane.store.read((tx) => tx.get<{ open: number }>(sql)))?.open ?? 0;
  }
}

const leftOf = (store: Store) => store.read((tx) => tx.all("select g.name from concurrency_groups g"));

describeStores("of one concurrency group", (open, { dialect }) => {
  const numRuns = dialect === "sqlite" ? 40 : 8;

  it("never two go at once, and nothing waits for ever", { timeout: 120_000 }, async () => {
    const store = await open();
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 40 }), async (actions) => {
        const play = new Play(await TestPlane.start(store));
        await play.start();
        for (const each of actions) {
          await play.try(each);
          expect(Math.max(0, ...(await play.going()))).toBeLessThanOrEqual(1);
        }
        await play.drain();
        expect(await leftOf(store)).toEqual([]);
      }),
      { numRuns, endOnFailure: true },
    );
  });

  it("nor when everything happens at the same time", { timeout: 120_000 }, async () => {
    const store = await open();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(action, { minLength: 4, maxLength: 8 }), { maxLength: 6 }), async (rounds) => {
        const play = new Play(await TestPlane.start(store));
        await play.start();
        for (const round of rounds) {
          await Promise.all(round.map((each) => play.try(each)));
          expect(Math.max(0, ...(await play.going()))).toBeLessThanOrEqual(1);
        }
        await play.drain();
        expect(await leftOf(store)).toEqual([]);
      }),
      { numRuns, endOnFailure: true },
    );
  });
});
