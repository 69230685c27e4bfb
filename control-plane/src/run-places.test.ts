import type { Role } from "@shipfox/shared/api/workspaces";
import fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { createWaitingPort } from "./modules/dispatch/public.ts";
import { TestPlane, workflow } from "./modules/runners/test-plane.ts";
import { createRunRoutes, createUsageRoutes, fillDuePlaces } from "./modules/runs/public.ts";
import { access } from "./modules/workspaces/public.ts";
import { systemClock } from "./store/clock.ts";
import type { RunRow } from "./store/schema.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { serveApi } from "./testing/api.ts";
import { insertMember, insertUser } from "./testing/rows.ts";

const MINUTE_MS = 60_000;

/** Runs of a workspace by what they do, each in order of creation. */
async function placesOf(store: Store, workspaceId: string) {
  const rows = await store.read((tx) =>
    tx.all<RunRow>("select * from runs where workspace_id = ? and finished_at is null order by created_at, id", [
      workspaceId,
    ]),
  );
  const ids = (wanted: boolean) => rows.filter((row) => (row.place_wanted_at !== null) === wanted).map(({ id }) => id);
  return { going: ids(false), waiting: ids(true) };
}

/** Runs of which a job is in the queue or with a runner. */
async function startedRuns(store: Store): Promise<string[]> {
  const sql =
    "select distinct run_id from job_executions where queued_at is not null and status in ('pending', 'running')";
  return (await store.read((tx) => tx.all<{ run_id: string }>(sql))).map((row) => row.run_id).sort();
}

describeStores("the places for runs in a workspace", (open) => {
  async function start(maxConcurrentRuns: number, store?: Store) {
    const plane = await TestPlane.start(store ?? (await open()), { maxConcurrentRuns });
    const { sessionId } = await plane.register();
    const places = () => placesOf(plane.store, plane.workspaceId);
    const finishNext = async () => {
      const claimed = await plane.claim(sessionId);
      if (claimed) await plane.finish(claimed.executionId);
      return claimed !== null && claimed !== undefined;
    };
    return { plane, places, finishNext };
  }

  async function serve(plane: TestPlane) {
    const { store, dispatch } = plane;
    const base = { store, clock: systemClock, access };
    const api = await serveApi([
      ...createRunRoutes({
        ...base,
        waiting: createWaitingPort(dispatch),
        runs: dispatch.runs,
        readDocument: async () => null,
      }),
      ...createUsageRoutes({
        ...base,
        places: dispatch.runs,
        limits: {
          maxSecretsPerWorkspace: 10,
          maxArtifactBytes: 1,
          maxCacheBytes: 1,
          logRetentionDays: 90,
          storedTriggerEvents: { events: 7, bytes: 8 },
        },
      }),
    ]);
    onTestFinished(() => api.close());
    const join = (role: Role) => insertMember(store, plane.workspaceId, role);
    return { api, admin: await join("admin"), viewer: await join("viewer") };
  }

  it("lets a run over the limit wait, says why, and starts the next in line when one ends", async () => {
    const { plane, places, finishNext } = await start(1);
    const { api, viewer } = await serve(plane);
    const [first, second, third] = [
      await plane.fire(workflow()),
      await plane.fire(
        workflow(
          "  a:\n    runner: linux\n    steps: [{ run: 'true' }]\n  b:\n    runner: linux\n    needs: a\n    steps: [{ run: 'true' }]\n",
        ),
      ),
      await plane.fire(workflow()),
    ];
    expect(await places()).toEqual({ going: [first], waiting: [second, third] });
    const seen = (await api.call("GET", `/workflows/runs/${second}`, { user: viewer })).body;
    expect(seen.status).toBe("pending");
    expect(seen.jobs.map((job: { waiting: { reason: string } }) => job.waiting.reason)).toEqual([
      "workspace_limit",
      "needs",
    ]);
    const listed = (await api.call("GET", `/workflows/runs?project_id=${plane.projectId}`, { user: viewer })).body;
    expect(listed.runs[0].jobs[0].waiting.reason).toBe("workspace_limit");

    expect(await finishNext()).toBe(true);
    expect(await places()).toEqual({ going: [second], waiting: [third] });
    const events = await plane.store.read((tx) =>
      tx.all<{ type: string; run_id: string }>(
        "select type, run_id from run_events where type in ('run.finished', 'run.place_given') order by id",
      ),
    );
    expect(events.slice(-2)).toEqual([
      { type: "run.finished", run_id: first },
      { type: "run.place_given", run_id: second },
    ]);
    await plane.cancel(second);
    expect(await places()).toEqual({ going: [third], waiting: [] });
    expect(await finishNext()).toBe(true);
    expect(await finishNext()).toBe(false);
  });

  it("gives the place of a cancelled run away, and that of one that only waited to nobody", async () => {
    const { plane, places } = await start(1);
    const [first, second, third] = [
      await plane.fire(workflow()),
      await plane.fire(workflow()),
      await plane.fire(workflow()),
    ];
    await plane.cancel(second);
    expect(await places()).toEqual({ going: [first], waiting: [third] });
    await plane.cancel(first);
    expect(await places()).toEqual({ going: [third], waiting: [] });
  });

  it("creates nothing for a call that does not want to wait", async () => {
    const { plane, places, finishNext } = await start(1);
    const first = await plane.fire(workflow(), plane.projectId, "reject");
    await expect(plane.fire(workflow(), plane.projectId, "reject")).rejects.toMatchObject({
      code: "concurrency-limit",
      status: 429,
      details: { max_concurrent_runs: 1 },
    });
    expect(await places()).toEqual({ going: [first], waiting: [] });
    await finishNext();
    await plane.fire(workflow(), plane.projectId, "reject");
  });

  it("never go beyond the limit, however many ask and end at once", async () => {
    const { plane, places, finishNext } = await start(3);
    const fired = await Promise.all(Array.from({ length: 12 }, () => plane.fire(workflow())));
    expect((await places()).going).toHaveLength(3);
    for (let left = fired.length; left > 0; ) {
      const ended = await Promise.all([finishNext(), finishNext()]);
      left -= ended.filter(Boolean).length;
      const { going, waiting } = await places();
      expect([going.length, waiting.length]).toEqual([Math.min(3, left), Math.max(0, left - 3)]);
    }
  });

  it("are the workspace's own to choose, and a raised limit starts those that wait", async () => {
    const { plane, places } = await start(1);
    const { api, admin, viewer } = await serve(plane);
    const runs = [await plane.fire(workflow()), await plane.fire(workflow()), await plane.fire(workflow())];
    const path = `/workspaces/${plane.workspaceId}`;
    const set = (limit: unknown, user = admin) =>
      api.call("PATCH", `${path}/limits`, { user, body: { max_concurrent_runs: limit } });
    expect((await set(2, viewer)).status).toBe(403);
    expect((await set(-1)).status).toBe(400);
    expect((await set(2)).body).toEqual({ max_concurrent_runs: 2, own: true });
    expect(await places()).toEqual({ going: runs.slice(0, 2), waiting: runs.slice(2) });
    expect((await set(0)).body).toEqual({ max_concurrent_runs: 0, own: true });
    expect(await places()).toEqual({ going: runs, waiting: [] });
    expect((await set(null)).body).toEqual({ max_concurrent_runs: 1, own: false });
    const late = await plane.fire(workflow());
    expect((await places()).waiting).toEqual([late]);

    const usage = await api.call("GET", `${path}/usage`, { user: viewer });
    expect(usage).toMatchObject({
      status: 200,
      body: {
        runs: { total: 4, by_status: [{ status: "pending", count: 4 }] },
        job_minutes: 0,
        concurrent_runs: { going: 3, waiting: 1 },
        stored_trigger_events: { events: 0, bytes: 0 },
        limits: {
          max_concurrent_runs: 1,
          max_secrets: 10,
          log_retention_days: 90,
          max_trigger_events: 7,
          max_trigger_event_bytes: 8,
        },
      },
    });
    expect((await api.call("GET", `${path}/usage`, { user: await insertUser(plane.store) })).status).toBe(403);
  });

  it("are given after a restart to those that waited, also under another limit", async () => {
    const { plane, places } = await start(1);
    const runs = [await plane.fire(workflow()), await plane.fire(workflow()), await plane.fire(workflow())];
    expect((await places()).waiting).toEqual(runs.slice(1));
    const { dispatch } = await TestPlane.start(plane.store, { maxConcurrentRuns: 2 });
    const now = Date.now();
    expect(await fillDuePlaces(plane.store, dispatch.runs, now)).toBeGreaterThan(now);
    expect(await places()).toEqual({ going: runs.slice(0, 2), waiting: runs.slice(2) });
    await fillDuePlaces(plane.store, dispatch.runs, now);
    expect((await places()).waiting).toEqual(runs.slice(2));
  });

  it("hold for any order of events: no run beyond the limit, none waits beside a free place, first come first served", async () => {
    const store = await open();
    const command = fc.oneof(
      { weight: 4, arbitrary: fc.constant({ kind: "fire" } as const) },
      { weight: 2, arbitrary: fc.constant({ kind: "finish" } as const) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("cancel" as const), at: fc.nat(10) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(command, { maxLength: 14 }),
        async (limit, commands) => {
          const { plane, places, finishNext } = await start(limit, store);
          const created: string[] = [];
          for (const one of commands) {
            if (one.kind === "fire") created.push(await plane.fire(workflow()));
            if (one.kind === "finish") await finishNext();
            if (one.kind === "sweep") await fillDuePlaces(store, plane.dispatch.runs, Date.now());
            if (one.kind === "cancel") {
              const { going, waiting } = await places();
              const open = [...going, ...waiting];
              const chosen = open[one.at % Math.max(1, open.length)];
              if (chosen !== undefined) await plane.cancel(chosen);
            }
            const { going, waiting } = await places();
            expect(going.length).toBe(Math.min(limit, going.length + waiting.length));
            const order = (ids: string[]) => ids.map((id) => created.indexOf(id));
            expect(Math.max(-1, ...order(going))).toBeLessThan(Math.min(Number.POSITIVE_INFINITY, ...order(waiting)));
            const started = (await startedRuns(store)).filter((id) => created.includes(id));
            expect(started).toEqual([...going].sort());
          }
          for (const id of [...(await places()).waiting, ...(await places()).going]) await plane.cancel(id);
        },
      ),
      { numRuns: store.dialect === "sqlite" ? 40 : 12 },
    );
  });

  it("count the minutes that jobs held runners within the window", async () => {
    const { plane, finishNext } = await start(0);
    const { api, viewer } = await serve(plane);
    await plane.fire(workflow());
    await finishNext();
    const begin = Date.parse("2026-01-01T00:00:00Z");
    await plane.store.write((tx) =>
      tx.run("update job_executions set started_at = ?, finished_at = ?", [begin, begin + 10 * MINUTE_MS]),
    );
    const minutes = async (from: string, to: string) => {
      const path = `/workspaces/${plane.workspaceId}/usage?from=${from}&to=${to}`;
      return (await api.call("GET", path, { user: viewer })).body.job_minutes;
    };
    expect(await minutes("2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z")).toBe(10);
    expect(await minutes("2026-01-01T00:03:00Z", "2026-01-01T00:05:00Z")).toBe(2);
    expect(await minutes("2026-01-01T00:10:00Z", "2026-01-02T00:00:00Z")).toBe(0);
    const wrong = `/workspaces/${plane.workspaceId}/usage?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z`;
    expect((await api.call("GET", wrong, { user: viewer })).status).toBe(400);
  });
});
