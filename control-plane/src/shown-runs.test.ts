import fc from "fast-check";
import { expect, it } from "vitest";
import { createWaitingPort } from "./modules/dispatch/public.ts";
import { TestPlane, workflow } from "./modules/runners/test-plane.ts";
import { createRunRoutes, removeOldRuns } from "./modules/runs/public.ts";
import { systemClock } from "./store/clock.ts";
import { describeStores } from "./store/testing.ts";

const JOBS = `  build:
    runner: linux
    steps: [{ run: 'true' }, { run: 'true' }]
  test:
    runner: linux
    needs: build
    steps: [{ run: 'true' }]
`;
const CASES = 15;
const DAY_MS = 24 * 3_600_000;
const access = { role: async () => "viewer" as const, instanceRole: async () => null };
const principal = { userId: "u", token: null, needs: "runs:read" };

/** What happens, and whether somebody looks behind it: what was not looked at must not be missed either. */
const happenings = fc.array(
  fc.record({
    what: fc.constantFrom(
      "fire",
      "claim",
      "next",
      "succeed",
      "fail",
      "cancel",
      "rerun",
      "register",
      "drop events",
      "remove",
    ),
    pick: fc.nat(3),
    looks: fc.boolean(),
  }),
  { minLength: 5, maxLength: 40 },
);

describeStores("runs that were shown before", (open) => {
  it("are shown as they are now, whatever happened since", async () => {
    const store = await open();
    const plane = await TestPlane.start(store);
    const { dispatch } = plane;
    const makeRoutes = () =>
      createRunRoutes({
        store,
        clock: systemClock,
        access,
        waiting: createWaitingPort(dispatch),
        runs: dispatch.runs,
        readDocument: async () => null,
      });
    const show = async (routes: ReturnType<typeof makeRoutes>, path: string, params: object, query: object) => {
      const found = routes.find((candidate) => candidate.method === "GET" && candidate.path === path);
      const reply = await found?.handle({ principal, params, query } as never);
      return JSON.parse(String((reply as { body: Buffer }).body)) as unknown;
    };
    const kept = makeRoutes();
    const runs: string[] = [];
    const working: { executionId: string; stepId: string | null }[] = [];
    let { sessionId } = await plane.register();

    const remove = (now: number) =>
      removeOldRuns(
        {
          store,
          clock: systemClock,
          keptMs: DAY_MS,
          removed: dispatch.runs.removed,
          removeLogs: (executionIds) => dispatch.deps.logs.removeOfExecutions(executionIds),
          dropArtifacts: async () => false,
        },
        now,
      );
    const look = async () => {
      const fresh = makeRoutes();
      for (const id of runs) {
        const [path, params] = ["/workflows/runs/{id}", { id }];
        const [old, now] = await Promise.all(
          [kept, fresh].map((routes) => show(routes, path, params, {}).catch(String)),
        );
        expect(old).toEqual(now);
      }
      for (const filter of [{}, { status: "running" }, { status: "succeeded" }]) {
        const query = { project_id: plane.projectId, limit: 3, ...filter };
        expect(await show(kept, "/workflows/runs", {}, query)).toEqual(await show(fresh, "/workflows/runs", {}, query));
      }
    };
    const act = async (what: string, pick: number): Promise<unknown> => {
      const run = runs.at(-1 - (pick % Math.max(1, runs.length)));
      const at = working[pick % Math.max(1, working.length)];
      if (what === "fire") return void runs.push(await plane.fire(workflow(JOBS)));
      if (what === "register") return void ({ sessionId } = await plane.register());
      if (what === "drop events") return store.write((tx) => tx.run("delete from run_events where id % 2 = 0"));
      if (what === "remove") return remove(Date.now() + DAY_MS);
      if (what === "claim") {
        const claimed = await plane.claim(sessionId);
        return claimed && working.push({ executionId: claimed.executionId, stepId: null });
      }
      if (what === "cancel") return run && plane.cancel(run, true);
      if (what === "rerun") return run && plane.rerun(run, pick % 2 === 0 ? "all" : "failed");
      if (!at) return undefined;
      if (what === "next") {
        const next = await plane.next(at.executionId);
        at.stepId = next.kind === "done" ? null : next.step.id;
        return undefined;
      }
      return at.stepId && plane.report(at.executionId, at.stepId, what === "fail" ? "failed" : "succeeded");
    };
    await fc.assert(
      fc.asyncProperty(happenings, async (list) => {
        for (const { what, pick, looks } of list) {
          // Most of what is tried is refused at the time; that changes nothing.
          await act(what, pick).catch(() => undefined);
          if (looks) await look();
        }
        await look();
      }),
      { numRuns: CASES },
    );
    expect(runs.length).toBeGreaterThan(0);
  }, 120_000);
});
