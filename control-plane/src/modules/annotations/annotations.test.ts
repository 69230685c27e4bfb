import { newId } from "@shipfox/shared/ids";
import { annotationsBodySchema } from "@shipfox/shared/machine";
import { expect, it } from "vitest";
import type { LeasePrincipal } from "../../http/route.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { serveApi, testClock, testTokens } from "../../testing/api.ts";
import { insertConnection, insertProject, insertUser, insertWorkspace, memberAccess } from "../../testing/rows.ts";
import { annotate } from "./annotate.ts";
import { createAnnotationRoutes } from "./routes.ts";

const SETTINGS = { tailMs: 1_000 };
const NOW = 10_000;

describeStores("annotations", (open) => {
  it("of a job execution are kept by context, in the order in which they were made", async () => {
    const store = await open();
    const { lease, workspaceId } = await seedJob(store);
    const write = writer(store, lease);
    const first = await write([
      { context: "tests", style: "error", body: "2 failed" },
      { context: "default", body: "# Summary" },
    ]);
    expect(first.accounting).toEqual({ annotation_count: 2, total_body_bytes: 17 });
    const second = await write([
      { context: "default", op: "append", body: "more" },
      { context: "coverage", style: "success", body: "91 %" },
      { context: "tests", op: "remove" },
    ]);
    expect(second.annotations).toEqual([
      { context: "default", id: first.annotations[1]?.id },
      { context: "coverage", id: expect.any(String) },
      { context: "tests", id: null },
    ]);
    expect(await bodies(store)).toEqual(["# Summary\nmore", "91 %"]);
    const events = await store.read((tx) =>
      tx.all<{ type: string }>("select type from run_events where workspace_id = ? order by id", [workspaceId]),
    );
    expect(events.map(({ type }) => type)).toEqual(["annotations.changed", "annotations.changed"]);
  });

  it("of a batch that goes too far are not kept at all", async () => {
    const store = await open();
    const { lease } = await seedJob(store);
    const write = writer(store, lease);
    const many = Array.from({ length: 51 }, (_, index) => ({ context: `c${index}`, body: "x" }));
    await expect(write(many)).rejects.toMatchObject({ code: "annotation-count-limit-exceeded", status: 413 });
    expect(await bodies(store)).toEqual([]);
  });

  it("written at once by many calls are all there, each with a place of its own", async () => {
    const store = await open();
    const { lease } = await seedJob(store);
    const write = writer(store, lease);
    await Promise.all(Array.from({ length: 8 }, (_, index) => write([{ context: `c${index}`, body: "x" }])));
    const rows = await store.read((tx) => tx.all<{ sequence: number }>("select sequence from annotations"));
    expect(rows.map(({ sequence }) => sequence).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it("are taken from a lease that has ended for as long as its logs stay open, then frozen", async () => {
    const store = await open();
    const { lease } = await seedJob(store, { endedAt: NOW - 500, endReason: "expired" });
    const write = writer(store, lease);
    await write([{ context: "default", body: "late" }]);
    const frozen = await write(
      [
        { context: "default", body: "too late" },
        { context: "other", body: "x" },
      ],
      NOW + 500,
    );
    expect(frozen).toEqual({
      annotations: [
        { context: "default", id: expect.any(String) },
        { context: "other", id: null },
      ],
      accounting: { annotation_count: 1, total_body_bytes: 4 },
    });
    expect(await bodies(store)).toEqual(["late"]);
  });

  it("are refused to a token of another step, another attempt or of no lease", async () => {
    const store = await open();
    const { lease } = await seedJob(store);
    const batch = [{ context: "default", body: "x" }];
    for (const wrong of [{ stepId: newId() }, { stepAttempt: 2 }, { stepId: null, stepAttempt: null }]) {
      const write = annotate(store, SETTINGS, { ...lease, ...wrong }, bodyOf(lease, batch), NOW);
      await expect(write).rejects.toMatchObject({ code: "step-not-found" });
    }
    for (const wrong of [{ fence: lease.fence + 1 }, { executionId: newId() }]) {
      const write = annotate(store, SETTINGS, { ...lease, ...wrong }, bodyOf(lease, batch), NOW);
      await expect(write).rejects.toMatchObject({ code: "lease-not-active", status: 404 });
    }
    expect(await bodies(store)).toEqual([]);
  });

  it("are read in pages and counted, by members only", async () => {
    const store = await open();
    const { lease, memberId, workspaceId } = await seedJob(store);
    const stranger = await insertUser(store);
    const api = await serveApi(
      createAnnotationRoutes({
        store,
        clock: testClock(NOW),
        access: memberAccess,
        settings: SETTINGS,
        workspaceOfRun: async (_, runId) => (runId === lease.runId ? workspaceId : null),
      }),
    );
    const posted = await api.call("POST", "/runs/jobs/current/annotations", {
      headers: { authorization: `Bearer ${testTokens.signLease(lease, 60)}` },
      body: {
        step_id: lease.stepId,
        attempt: 1,
        annotations: [
          { context: "a", style: "error", body: "one" },
          { context: "b", style: "warning", body: "two" },
          { context: "c", body: "three" },
        ],
      },
    });
    expect(posted.status).toBe(200);
    const of = `workflow_run_id=${lease.runId}&attempt=1`;
    const first = await api.call("GET", `/annotations?${of}&limit=2`, { user: memberId });
    expect(first.body).toMatchObject({
      annotations: [
        {
          job_id: lease.jobId,
          job_execution_id: lease.executionId,
          origin_step_id: lease.stepId,
          origin_step_attempt: 1,
          context: "a",
          style: "error",
          sequence: 1,
          body: "one",
        },
        { context: "b", sequence: 2 },
      ],
      has_more: true,
    });
    const rest = await api.call(
      "GET",
      `/annotations?${of}&cursor=${first.body.next_cursor}&job_execution_id=${lease.executionId}`,
      { user: memberId },
    );
    expect(rest.body).toMatchObject({ annotations: [{ context: "c" }], has_more: false, next_cursor: null });
    expect((await api.call("GET", `/annotations?${of}&cursor=x`, { user: memberId })).body.code).toBe("invalid-cursor");
    const summary = await api.call("GET", `/annotations/summary?${of}`, { user: memberId });
    expect(summary.body).toEqual({
      total: 3,
      error: 1,
      warning: 1,
      info: 0,
      success: 0,
      step_counts: [{ origin_step_id: lease.stepId, origin_step_attempt: 1, total: 3 }],
    });
    const hidden = await api.call("GET", `/annotations?${of}`, { user: stranger });
    expect([hidden.status, hidden.body.annotations]).toEqual([200, []]);
    expect((await api.call("GET", `/annotations/summary?${of}`, { user: stranger })).body.total).toBe(0);
    expect(
      (await api.call("GET", `/annotations?${of.replace("=1", "=2")}`, { user: memberId })).body.annotations,
    ).toEqual([]);
    await api.close();
  });
});

const bodyOf = (lease: LeasePrincipal, annotations: object[]) =>
  annotationsBodySchema.parse({ step_id: lease.stepId, attempt: lease.stepAttempt, annotations });

function writer(store: Store, lease: LeasePrincipal) {
  return (annotations: object[], now = NOW) => annotate(store, SETTINGS, lease, bodyOf(lease, annotations), now);
}

async function bodies(store: Store): Promise<string[]> {
  const rows = await store.read((tx) => tx.all<{ body: string }>("select body from annotations order by sequence"));
  return rows.map(({ body }) => body);
}

/** A job whose execution has a lease, and the lease as the token of its step carries it. */
async function seedJob(
  store: Store,
  ended: { endedAt: number; endReason: string } | null = null,
): Promise<{ lease: LeasePrincipal; memberId: string; workspaceId: string }> {
  const memberId = await insertUser(store);
  const workspaceId = await insertWorkspace(store, { [memberId]: "viewer" });
  const connectionId = await insertConnection(store, workspaceId);
  const projectId = await insertProject(store, { workspaceId, connectionId, repository: "git:r" });
  const [definitionId, runId, runAttemptId, jobId, executionId, stepId, runnerId, sessionId] = Array.from(
    { length: 8 },
    () => newId(),
  ) as [string, string, string, string, string, string, string, string];
  const fence = await store.write(async (tx) => {
    await tx.run(
      `insert into definitions (id, workspace_id, project_id, source, name, yaml, document, model, last_run_number, fetched_at, created_at, updated_at)
       values (?, ?, ?, 'manual', 'x', '', '{}', '{}', 0, 0, 0, 0)`,
      [definitionId, workspaceId, projectId],
    );
    await tx.run(
      `insert into runs (id, workspace_id, project_id, definition_id, number, name, workflow_name, status, current_attempt,
         trigger_source, trigger_event, trigger_payload, source_yaml, created_at, updated_at)
       values (?, ?, ?, ?, 1, 'x', 'x', 'running', 1, 'manual', 'fire', '{}', '', 0, 0)`,
      [runId, workspaceId, projectId, definitionId],
    );
    await tx.run("insert into run_attempts (id, run_id, attempt, status, created_at) values (?, ?, 1, 'running', 0)", [
      runAttemptId,
      runId,
    ]);
    await tx.run(
      `insert into jobs (id, workspace_id, project_id, run_id, run_attempt_id, key, position, status, needs, node, stage, labels, model,
         infrastructure_retries, created_at, updated_at) values (?, ?, ?, ?, ?, 'j', 0, 'running', '[]', 'j', 'going', '[]', '{}', 0, 0, 0)`,
      [jobId, workspaceId, projectId, runId, runAttemptId],
    );
    await tx.run(
      `insert into job_executions (id, workspace_id, project_id, run_id, run_attempt_id, job_id, sequence, name, status,
         created_at, updated_at) values (?, ?, ?, ?, ?, ?, 1, 'j', 'running', 0, 0)`,
      [executionId, workspaceId, projectId, runId, runAttemptId, jobId],
    );
    const row = await tx.get<{ fence: number }>(
      `insert into leases (job_execution_id, job_id, run_id, run_attempt_id, workspace_id, project_id, runner_id, session_id,
         state, end_reason, claimed_at, ended_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?) returning fence`,
      [
        executionId,
        jobId,
        runId,
        runAttemptId,
        workspaceId,
        projectId,
        runnerId,
        sessionId,
        ended ? "ended" : "live",
        ended?.endReason ?? null,
        ended?.endedAt ?? null,
      ],
    );
    return row?.fence ?? 0;
  });
  const ids = { sessionId, runnerId, workspaceId, projectId, runId, runAttemptId, runAttempt: 1, jobId, executionId };
  return { lease: { fence, ...ids, stepId, stepAttempt: 1 }, memberId, workspaceId };
}
