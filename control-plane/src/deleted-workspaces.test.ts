import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { newId } from "@shipfox/shared/ids";
import { expect, it } from "vitest";
import { FileBlobStore, removeBlobsOfWorkspace, Uploads } from "./modules/artifacts/public.ts";
import { output } from "./modules/logs/logs.fixture.ts";
import { TestPlane, workflow } from "./modules/runners/test-plane.ts";
import { eraseDeleted } from "./modules/workspaces/public.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { silentLog } from "./testing/api.ts";

const DAY_MS = 24 * 3_600_000;
const KEPT_MS = 30 * DAY_MS;
const RUNS = 20;
const EVENTS = 250;
const JOBS = workflow(
  ["build", "test"].map((key) => `  ${key}:\n    runner: linux\n    steps: [{ run: 'true' }]\n`).join(""),
);
/** Every table of which a workspace has rows, but for the audit log. */
const OF_WORKSPACE =
  `workspaces projects definitions runs run_attempts jobs job_executions steps step_attempts leases queue
  log_streams run_events trigger_events connections runners runner_sessions registration_tokens label_sets secrets webhooks
  webhook_deliveries blobs blob_usage`.split(/\s+/);

async function counts(store: Store): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const table of OF_WORKSPACE) {
    const row = await store.read((tx) => tx.get<{ count: number }>(`select count(*) as count from ${table}`));
    found[table] = row?.count ?? 0;
  }
  return found;
}

/** A workspace with runs of which some have logs, and with rows of other kinds. */
async function fill(plane: TestPlane): Promise<void> {
  const { store, workspaceId } = plane;
  const { sessionId } = await plane.register();
  for (let index = 0; index < RUNS; index += 1) await plane.fire(JOBS);
  for (let index = 0; index < 3; index += 1) {
    const claimed = await plane.claim(sessionId);
    if (!claimed) throw new Error("no job was queued");
    const { executionId } = claimed;
    const next = await plane.next(executionId);
    if (next.kind === "done") throw new Error("the job has no step");
    const stream = { workspaceId, executionId, runId: claimed.facts.run_id, stepId: next.step.id, attempt: 1 };
    await plane.dispatch.deps.logs.append(stream, 0, output("hello\n"));
    await plane.finish(executionId);
  }
  const webhookId = newId();
  await store.write(async (tx) => {
    await tx.run("insert into blob_usage (workspace_id, artifact_bytes, cache_bytes) values (?, 3, 0)", [workspaceId]);
    for (const state of ["partial", "whole", "dropped"]) {
      await tx.run(
        `insert into blobs (id, kind, workspace_id, project_id, run_id, job_id, job_execution_id, name, ref, untrusted, size, sha256, state, created_at)
         values (?, 'artifact', ?, '', '', '', ?, 'dist', '', 0, 1, '', ?, 0)`,
        [newId(), workspaceId, newId(), state],
      );
    }
    await tx.run(
      `insert into webhooks (id, workspace_id, url, events, status, sealed_secrets, last_event, created_by, created_at, updated_at)
       values (?, ?, 'https://x.example', '[]', 'active', '', 0, '', 0, 0)`,
      [webhookId, workspaceId],
    );
    for (let index = 0; index < EVENTS; index += 1) {
      await tx.run(
        `insert into trigger_events (id, workspace_id, origin, event_ref, source, event, untrusted, payload_bytes, outcome, matched_count, received_at, created_at)
         values (?, ?, 'integration', ?, 'x', 'y', 0, 0, 'received', 0, 0, 0)`,
        [newId(), workspaceId, `ref ${index}`],
      );
      await tx.run(
        "insert into secrets (workspace_id, scope_id, key, value, created_at, updated_at) values (?, ?, ?, '', 0, 0)",
        [workspaceId, workspaceId, `KEY_${index}`],
      );
      await tx.run(
        `insert into webhook_deliveries (id, webhook_id, event_type, body, status, attempts, created_at)
         values (?, ?, 'run.finished', '', 'delivered', 1, 0)`,
        [newId(), webhookId],
      );
    }
  });
}

const setStatus = (plane: TestPlane, status: string, at: number) =>
  plane.store.write((tx) =>
    tx.run("update workspaces set status = ?, updated_at = ? where id = ?", [status, at, plane.workspaceId]),
  );

async function cancelAll(plane: TestPlane): Promise<void> {
  const open = await plane.store.read((tx) =>
    tx.all<{ id: string }>("select id from runs where workspace_id = ? and finished_at is null", [plane.workspaceId]),
  );
  for (const { id } of open) await plane.cancel(id, true);
}

function erasing(plane: TestPlane) {
  const uploads = new Uploads(new FileBlobStore(plane.logFolder));
  const { logs } = plane.dispatch.deps;
  const deps = {
    store: plane.store,
    log: silentLog,
    keptMs: KEPT_MS,
    removeLogs: (executionIds: readonly string[]) => logs.removeOfExecutions(executionIds),
    removeFiles: (workspaceId: string, now: number) =>
      removeBlobsOfWorkspace({ store: plane.store, log: silentLog, uploads }, workspaceId, now),
  };
  return (now: number) => eraseDeleted(deps, now);
}

/** Calls until nothing is due any more; answers how often. */
async function untilDone(erase: (now: number) => Promise<number | null>, now: number): Promise<number> {
  for (let calls = 1; ; calls += 1) if ((await erase(now)) !== now) return calls;
}

const filesOf = async (plane: TestPlane) => {
  if (!existsSync(plane.logFolder)) return [];
  const entries = await readdir(plane.logFolder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile());
};

describeStores("a deleted workspace", (open) => {
  it("keeps all it has for its time, and then leaves nothing, beside another workspace that keeps everything", async () => {
    const store = await open();
    const kept = await TestPlane.start(store);
    await fill(kept);
    const before = await counts(store);
    const plane = await TestPlane.start(store);
    await fill(plane);
    const keptFiles = await filesOf(kept);
    expect(await filesOf(plane)).toHaveLength(3);

    const now = Date.now();
    const erase = erasing(plane);
    expect(await erase(now)).toBeNull();
    await setStatus(plane, "deleted", now);
    const full = await counts(store);
    expect(await erase(now)).toBe(now + KEPT_MS);
    expect(await counts(store)).toEqual(full);

    await cancelAll(plane);
    expect(await untilDone(erase, now + KEPT_MS)).toBeGreaterThan(RUNS / 8);
    expect(await counts(store)).toEqual(before);
    expect(await filesOf(plane)).toEqual([]);
    expect(await filesOf(kept)).toEqual(keptFiles);
  });

  it("is not touched while a run of it has not ended, nor when an operator made it active again", async () => {
    const plane = await TestPlane.start(await open());
    await fill(plane);
    const erase = erasing(plane);
    const now = Date.now();
    await setStatus(plane, "deleted", now - KEPT_MS);
    const full = await counts(plane.store);
    expect(await erase(now)).toBeGreaterThan(now);
    expect(await counts(plane.store)).toEqual(full);
    await setStatus(plane, "active", now);
    expect(await erase(now + KEPT_MS)).toBeNull();
    expect(await counts(plane.store)).toEqual(full);
  });

  it("goes on where a crash left it, also between the files of logs and their rows", async () => {
    const plane = await TestPlane.start(await open());
    await fill(plane);
    await cancelAll(plane);
    const now = Date.now() + KEPT_MS;
    await setStatus(plane, "deleted", now - KEPT_MS);
    const executions = await plane.store.read((tx) => tx.all<{ id: string }>("select id from job_executions"));
    await plane.dispatch.deps.logs.removeOfExecutions(executions.map(({ id }) => id));
    await erasing(plane)(now);
    await untilDone(erasing(plane), now);
    expect(Object.values(await counts(plane.store)).every((count) => count === 0)).toBe(true);
  });
});
