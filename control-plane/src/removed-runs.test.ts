import { newId } from "@shipfox/shared/ids";
import { expect, it } from "vitest";
import { dropArtifactsOfRuns } from "./modules/artifacts/public.ts";
import { output } from "./modules/logs/logs.fixture.ts";
import { ServedPlane } from "./modules/runners/served-plane.fixture.ts";
import { TestPlane, workflow } from "./modules/runners/test-plane.ts";
import { RUNS_BATCH, removeOldRuns } from "./modules/runs/public.ts";
import { systemClock } from "./store/clock.ts";
import type { SqlValue, Store, Tx } from "./store/store.ts";
import { describeStore, describeStores } from "./store/testing.ts";

const DAY_MS = 24 * 3_600_000;
const KEPT_MS = 400 * DAY_MS;
/** Copies of a run with everything. */
const COPIES = 2_000;
const COPIED_AT_ONCE = 50;
const JOBS = workflow(
  ["build", "test"].map((key) => `  ${key}:\n    runner: linux\n    steps: [{ run: 'true' }]\n`).join(""),
);
/** Every table of which a run has rows; artifacts only until their files are gone. */
const OF_RUN = ["runs", "run_attempts", "jobs", "job_needs", "job_executions", "steps", "step_attempts", "log_streams"];
const EVENTS = "select count(*) as count from run_events";

const countIn = async (store: Store, sql: string) =>
  (await store.read((tx) => tx.get<{ count: number }>(sql)))?.count ?? 0;

async function counts(store: Store): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const table of [...OF_RUN, "leases", "annotations", "listener_events"])
    found[table] = await countIn(store, `select count(*) as count from ${table}`);
  return found;
}

/** A finished run with two jobs and a log. */
async function finishedRun(plane: TestPlane): Promise<string> {
  const { sessionId } = await plane.register();
  const runId = await plane.fire(JOBS);
  for (let index = 0; index < 2; index += 1) {
    const claimed = await plane.claim(sessionId);
    if (!claimed) throw new Error("no job was queued");
    const { executionId } = claimed;
    const next = await plane.next(executionId);
    if (next.kind === "done") throw new Error("the job has no step");
    const stream = { workspaceId: plane.workspaceId, executionId, runId, stepId: next.step.id, attempt: 1 };
    await plane.dispatch.deps.logs.append(stream, 0, output("hello\n"));
    await plane.finish(executionId);
  }
  return runId;
}

/** Copies of a run, its attempt, jobs, executions, steps and logs, that ended one after the other, a second apart, from `at`. */
async function copyRun(store: Store, runId: string, copies: number, at: number): Promise<void> {
  const rows = new Map<string, Record<string, SqlValue>[]>();
  const ids = new Set<string>();
  await store.read(async (tx) => {
    for (const table of OF_RUN.filter((name) => name !== "job_needs")) {
      const where = table === "runs" ? "id = ?" : WHERE_RUN[table];
      const found = await tx.all<Record<string, SqlValue>>(`select * from ${table} where ${where}`, [runId]);
      for (const row of found) ids.add(String(row["id"] ?? ""));
      rows.set(table, found);
    }
  });
  for (let first = 0; first < copies; first += COPIED_AT_ONCE) {
    await store.write(async (tx) => {
      for (let index = first; index < first + COPIED_AT_ONCE; index += 1) {
        const fresh = new Map([...ids].map((id) => [id, newId()]));
        for (const [table, originals] of rows) {
          for (const original of originals) {
            const row = Object.fromEntries(
              Object.entries(original).map(([column, value]) => [column, fresh.get(String(value)) ?? value]),
            );
            if (table === "runs") Object.assign(row, { number: 100 + index, finished_at: at + index * 1_000 });
            await insertRow(tx, table, row);
          }
        }
      }
    });
  }
}

const WHERE_RUN: Record<string, string> = {
  run_attempts: "run_id = ?",
  jobs: "run_id = ?",
  job_executions: "run_id = ?",
  steps: "job_execution_id in (select id from job_executions where run_id = ?)",
  step_attempts: "job_execution_id in (select id from job_executions where run_id = ?)",
  log_streams: "run_id = ?",
};

function insertRow(tx: Tx, table: string, row: Record<string, SqlValue>): Promise<number> {
  const columns = Object.keys(row);
  return tx.run(
    `insert into ${table} (${columns.join(", ")}) values (${columns.map(() => "?").join(", ")})`,
    Object.values(row),
  );
}

function removing(
  plane: TestPlane,
  { store = plane.store, keptMs = KEPT_MS }: { store?: Store; keptMs?: number | null } = {},
) {
  const { logs } = plane.dispatch.deps;
  const deps = {
    store,
    clock: systemClock,
    keptMs,
    removed: plane.dispatch.runs.removed,
    removeLogs: (executionIds: readonly string[]) => logs.removeOfExecutions(executionIds),
    dropArtifacts: (runIds: readonly string[], now: number) => dropArtifactsOfRuns(store, runIds, now),
  };
  return (now: number) => removeOldRuns(deps, now);
}

const endedAt = (store: Store, runId: string, at: number) =>
  store.write((tx) => tx.run("update runs set finished_at = ? where id = ? and finished_at is not null", [at, runId]));

const idsOfRuns = async (store: Store) =>
  (await store.read((tx) => tx.all<{ id: string }>("select id from runs order by id"))).map(({ id }) => id);

/** Calls until nothing is due within a second, and tells after each call; answers when it is next. */
async function untilDone(remove: (now: number) => Promise<number | null>, now: number, told = async () => {}) {
  for (;;) {
    const next = await remove(now);
    await told();
    if (next === null || next > now + 30_000) return next;
    expect(next).toBeGreaterThanOrEqual(now + 100);
  }
}

async function insertArtifact(plane: TestPlane, runId: string, kind: string): Promise<string> {
  const id = newId();
  await plane.store.write((tx) =>
    tx.run(
      `insert into blobs (id, kind, workspace_id, project_id, run_id, job_id, job_execution_id, name, ref, untrusted, size, sha256, state, created_at)
       values (?, ?, ?, ?, ?, '', ?, 'dist', ?, 0, 1, '', 'whole', 0)`,
      [id, kind, plane.workspaceId, plane.projectId, runId, newId(), id],
    ),
  );
  return id;
}

describeStores("runs that are over for longer than they are kept", (open) => {
  it("go with all they have, the oldest first, a small batch at a time, and leave those that are not old", async () => {
    const store = await open();
    const plane = await TestPlane.start(store);
    const now = Date.now();
    const kept = await finishedRun(plane);
    const full = await counts(store);
    const old = await finishedRun(plane);
    await copyRun(store, old, COPIES, now - KEPT_MS - COPIES * 1_000);
    await endedAt(store, old, now - KEPT_MS - 1);
    const artifact = await insertArtifact(plane, old, "artifact");
    const cache = await insertArtifact(plane, old, "cache");
    const events = await countIn(store, EVENTS);

    const sizes = async () => ({
      runs: await countIn(store, "select count(*) as count from runs"),
      executions: await countIn(store, "select count(*) as count from job_executions"),
    });
    let before = await sizes();
    let largest = 0;
    const remove = removing(plane);
    const next = await untilDone(remove, now, async () => {
      const after = await sizes();
      largest = Math.max(largest, before.runs - after.runs);
      expect(before.executions - after.executions).toBeLessThanOrEqual(RUNS_BATCH);
      before = after;
    });
    expect(largest).toBe(RUNS_BATCH);
    expect(await counts(store)).toEqual(full);
    expect(await idsOfRuns(store)).toEqual([kept]);
    expect(next).toBeGreaterThan(now + KEPT_MS - DAY_MS);
    const blobs = await store.read((tx) => tx.all<{ id: string; state: string }>("select id, state from blobs"));
    expect(new Map(blobs.map(({ id, state }) => [id, state]))).toEqual(
      new Map([
        [artifact, "dropped"],
        [cache, "whole"],
      ]),
    );
    expect(await countIn(store, EVENTS)).toBe(events);
  }, 120_000);

  it("stay while a runner, a log or a rerun of them is still about, and all stay for ever when that is set", async () => {
    const store = await open();
    const plane = await TestPlane.start(store);
    const { sessionId } = await plane.register();
    const stopping = await plane.fire(workflow());
    const claimed = await plane.claim(sessionId);
    await plane.cancel(stopping);
    const rerun = await finishedRun(plane);
    const withOpenLog = await finishedRun(plane);
    await store.write((tx) => tx.run("update log_streams set state = 'open' where run_id = ?", [withOpenLog]));
    const gone = await finishedRun(plane);
    await plane.rerun(rerun, "all");
    const waiting = await plane.fire(workflow());
    const later = Date.now() + KEPT_MS + DAY_MS;
    const all = await idsOfRuns(store);
    expect(all).toContain(gone);
    expect(await removing(plane, { keptMs: null })(later)).toBeNull();
    expect(await idsOfRuns(store)).toEqual(all);

    await untilDone(removing(plane), later);
    expect(await idsOfRuns(store)).toEqual([stopping, rerun, withOpenLog, waiting].toSorted());
    await plane.release(claimed?.fence ?? 0);
    await untilDone(removing(plane), later);
    expect(await idsOfRuns(store)).toEqual([rerun, withOpenLog, waiting].toSorted());
  });

  it("are not found any more from the first moment on, also by who has just seen them, and cannot be rerun", async () => {
    const store = await open();
    const plane = await ServedPlane.start(store);
    const runId = await finishedRun(plane.inside);
    const other = await finishedRun(plane.inside);
    const steps = await store.read((tx) =>
      tx.all<{ id: string }>(
        "select s.id from steps s join job_executions e on e.id = s.job_execution_id where e.run_id = ?",
        [runId],
      ),
    );
    const list = `/workflows/runs?project_id=${plane.inside.projectId}`;
    const paths = ["", "/attempts"].map((rest) => `/workflows/runs/${runId}${rest}`);
    paths.push(`/steps/${steps[0]?.id}/attempts/1`);
    for (const path of paths) expect((await plane.asUser("GET", path)).status).toBe(200);
    expect((await plane.asUser("GET", list)).body.filtered_total_count).toBe(2);

    const now = Date.now();
    await endedAt(store, runId, now - KEPT_MS);
    await insertArtifact(plane.inside, runId, "artifact");
    // The first call only hides it and drops what it uploaded.
    await removing(plane.inside)(now);
    expect(await idsOfRuns(store)).toEqual([runId, other].toSorted());
    for (const path of paths) expect((await plane.asUser("GET", path)).status).toBe(404);
    for (const verb of ["cancel", "rerun"]) {
      const { status, body } = await plane.asUser("POST", `/workflows/runs/${runId}/${verb}`, { mode: "all" });
      expect([status, body.code]).toEqual([404, "not-found"]);
    }
    const { body } = await plane.asUser("GET", list);
    expect([body.filtered_total_count, body.runs.map(({ id }: { id: string }) => id)]).toEqual([1, [other]]);
    // Set to for ever meanwhile: what was begun is finished.
    await untilDone(removing(plane.inside, { keptMs: null }), now);
    expect(await idsOfRuns(store)).toEqual([other]);
  });
});

describeStore("sqlite", "the removal of runs", (open) => {
  it("finds all it deletes by an index", async () => {
    const store = await open();
    const plane = await TestPlane.start(store);
    await finishedRun(plane);
    const statements = new Map<string, readonly SqlValue[]>();
    const remove = removing(plane, { store: recording(store, statements) });
    await untilDone(remove, Date.now() + KEPT_MS + DAY_MS);
    expect(await idsOfRuns(store)).toEqual([]);
    expect(statements.size).toBeGreaterThan(8);
    const scans = await store.read(async (tx) => {
      const found: string[] = [];
      for (const [sql, params] of statements)
        for (const { detail } of await tx.all<{ detail: string }>(`explain query plan ${sql}`, params))
          if (/^SCAN \w+$/.test(detail)) found.push(`${sql}: ${detail}`);
      return found;
    });
    expect(scans).toEqual([]);
  });
});

/** The store, with every statement that goes through it noted. */
function recording(store: Store, statements: Map<string, readonly SqlValue[]>): Store {
  const noted = <T extends Tx>(tx: T): T =>
    new Proxy(tx, {
      get(target, name) {
        const method = Reflect.get(target, name, target) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) => {
          if (typeof args[0] === "string") statements.set(args[0], (args[1] ?? []) as readonly SqlValue[]);
          return method.apply(target, args);
        };
      },
    });
  return new Proxy(store, {
    get(target, name) {
      if (name === "read") return (query: (tx: Tx) => Promise<unknown>) => target.read((tx) => query(noted(tx)));
      if (name === "write") return (unit: Parameters<Store["write"]>[0]) => target.write((tx) => unit(noted(tx)));
      return Reflect.get(target, name, target) as unknown;
    },
  });
}
