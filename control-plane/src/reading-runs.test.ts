import type { Role } from "@shipfox/shared/api/workspaces";
import { newId } from "@shipfox/shared/ids";
import { expect, it, onTestFinished, vi } from "vitest";
import { DefinitionReader } from "./modules/definitions/public.ts";
import { createWaitingPort } from "./modules/dispatch/public.ts";
import { TestPlane, workflow } from "./modules/runners/test-plane.ts";
import { createRunRoutes } from "./modules/runs/public.ts";
import { access } from "./modules/workspaces/public.ts";
import { systemClock } from "./store/clock.ts";
import { describeStores } from "./store/testing.ts";
import { serveApi } from "./testing/api.ts";
import { insertMember, insertUser } from "./testing/rows.ts";

const JOB = `  build:
    runner: linux
    steps:
      - name: Greet
        run: echo hello
        env: { WHO: world }
`;

describeStores("reading runs", (open) => {
  async function serve() {
    const store = await open();
    const plane = await TestPlane.start(store);
    const reader = new DefinitionReader([]);
    const api = await serveApi(
      createRunRoutes({
        store,
        clock: systemClock,
        access,
        waiting: createWaitingPort(plane.dispatch),
        runs: plane.dispatch.runs,
        readDocument: (yaml) => reader.readDocument(yaml),
      }),
    );
    onTestFinished(() => api.close());
    const stranger = await insertUser(store);
    const join = (role: Role) => insertMember(store, plane.workspaceId, role);
    const viewer = await join("viewer");
    const get = (path: string, user = viewer) => api.call("GET", path, { user });
    return { store, plane, get, stranger };
  }

  it("look into the database again with the next commit, whatever it was, and see who may not look any more", async () => {
    const { store, plane, get, stranger } = await serve();
    const runId = await plane.fire(workflow(JOB));
    await plane.cancel(runId);
    const paths = [`/workflows/runs/${runId}`, `/workflows/runs?project_id=${plane.projectId}`];
    const statuses = (user?: string) => Promise.all(paths.map(async (path) => (await get(path, user)).status));
    const looks = vi.spyOn(store, "read");
    expect(await statuses()).toEqual([200, 200]);
    const looked = looks.mock.calls.length;
    expect([await statuses(), await statuses()]).toEqual([
      [200, 200],
      [200, 200],
    ]);
    // On PostgreSQL others may have written meanwhile.
    expect(looks.mock.calls.length - looked).toBe(store.dialect === "sqlite" ? 0 : 4);
    expect(await statuses(stranger)).toEqual([404, 404]);
    await store.write((tx) => tx.run("update memberships set updated_at = 1"));
    expect(await statuses()).toEqual([200, 200]);
    expect(looks.mock.calls.length - looked).toBeGreaterThan(2);
    await store.write((tx) => tx.run("delete from memberships where role = 'viewer'"));
    expect(await statuses()).toEqual([404, 404]);
  });

  it("counts runs by status, trigger and workflow, each facet without its own filter", async () => {
    const { store, plane, get, stranger } = await serve();
    const first = await plane.fire(workflow());
    await plane.fire(workflow());
    await plane.cancel(first);
    await store.write((tx) => tx.run("update runs set trigger_source = 'cron' where id = ?", [first]));
    const { definition_id: definition } = (await get(`/workflows/runs/${first}`)).body;
    const path = `/workflows/runs/aggregates?project_id=${plane.projectId}`;
    const all = await get(path);
    expect(all.status).toBe(200);
    expect(all.body.status).toEqual([
      { value: "cancelled", count: 1 },
      { value: "pending", count: 1 },
    ]);
    expect(all.body.workflow).toHaveLength(2);

    const { body } = await get(`${path}&status=cancelled`);
    expect(body.status).toHaveLength(2);
    expect(body.trigger_source).toEqual([{ value: "cron", count: 1 }]);
    expect(body.workflow).toEqual([{ value: definition, count: 1 }]);
    expect((await get(`${path}&created_to=2020-01-01T00:00:00Z`)).body).toEqual({
      status: [],
      trigger_source: [],
      workflow: [],
    });
    expect(await get(path, stranger)).toMatchObject({ status: 404, body: { code: "project-not-found" } });
    expect(await get("/workflows/runs/aggregates")).toMatchObject({ status: 400, body: { code: "validation-error" } });
  });

  it("lists the attempts of a run, the current one as the run stands", async () => {
    const { plane, get, stranger } = await serve();
    const run = await plane.fire(workflow());
    await plane.cancel(run);
    const { status, body } = await get(`/workflows/runs/${run}/attempts`);
    expect([status, body]).toMatchObject([
      200,
      { attempts: [{ workflow_run_id: run, attempt: 1, status: "cancelled", rerun_mode: null }] },
    ]);
    expect(body.attempts[0]).toEqual((await get(`/workflows/runs/${run}`)).body.run_attempt);
    expect((await get(`/workflows/runs/${run}/attempts`, stranger)).status).toBe(404);
    expect((await get(`/workflows/runs/${newId()}/attempts`)).status).toBe(404);
  });

  it("shows a step attempt as it was written and as it was handed out, on both paths", async () => {
    const { plane, get, stranger } = await serve();
    const run = await plane.fire(workflow(JOB));
    const [setup, step] = (await get(`/workflows/runs/${run}`)).body.jobs[0].job_executions[0].steps;
    const path = `/workflows/runs/steps/${step.id}/attempts/1`;
    const before = await get(path);
    expect(before).toMatchObject({
      status: 200,
      body: {
        step_id: step.id,
        attempt: 1,
        authored_config: { name: "Greet", run: "echo hello", env: { WHO: "world" } },
        config: { run: "echo hello", env: { WHO: "world" } },
        evaluation_trace: null,
        workflow_run_id: run,
        step_attempt: null,
      },
    });
    expect((await get(`/steps/${step.id}/attempts/1`)).body).toEqual(before.body);

    const { sessionId } = await plane.register();
    const claimed = await plane.claim(sessionId);
    await plane.finish(claimed?.executionId ?? "", 1);
    expect((await get(path)).body.step_attempt).toMatchObject({ status: "failed", attempt: 1 });
    expect((await get(`/steps/${setup.id}/attempts/1`)).body).toMatchObject({ authored_config: null, config: {} });
    for (const answer of [await get(`/steps/${step.id}/attempts/2`), await get(path, stranger)]) {
      expect(answer).toMatchObject({ status: 404, body: { code: "not-found" } });
    }
    expect((await get(`/steps/${step.id}/attempts/0`)).status).toBe(400);
  });
});
