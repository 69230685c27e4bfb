import { newId } from "@shipfox/shared/ids";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { insertConnection, insertProject, insertUser, insertWorkspace } from "../../testing/rows.ts";

/** A workspace with a viewer, somebody who is in none, and runs in which things happen. */
export async function seedRuns(store: Store, clock: Clock) {
  const ada = await insertUser(store);
  const stranger = await insertUser(store);
  const workspaceId = await insertWorkspace(store, { [ada]: "viewer" });
  const connectionId = await insertConnection(store, workspaceId);
  const repository = "git:https://example.com/a.git";
  const projectId = await insertProject(store, { workspaceId, connectionId, repository });
  const definitionId = newId();
  await store.write((tx) =>
    tx.run(
      `insert into definitions (id, workspace_id, project_id, source, name, yaml, document, model, last_run_number, fetched_at, created_at, updated_at)
        values (?, ?, ?, 'manual', 'Run', '', '{}', '{}', 0, 0, 0, 0)`,
      [definitionId, workspaceId, projectId],
    ),
  );

  let numbers = 1;

  async function startRun(): Promise<string> {
    const id = newId();
    await store.write(async (tx) => {
      const columns = `id, workspace_id, project_id, definition_id, number, name, workflow_name, status, current_attempt, trigger_provider,
        trigger_source, trigger_event, trigger_payload, source_yaml, created_at, updated_at`;
      const values = [id, workspaceId, projectId, definitionId, numbers++, "Run", "Run", "pending", 1];
      const rest = ["manual", "manual", "fire", "{}", "", clock.now(), clock.now()];
      await tx.run(`insert into runs (${columns}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, [
        ...values,
        ...rest,
      ]);
      const payload = { status: "pending", number: 1, name: "Run" } as const;
      tx.record({ workspaceId, projectId, runId: id, type: "run.created", payload, createdAt: clock.now() });
    });
    return id;
  }
  const stepStarted = (name: string, of: string) =>
    store.write(async (tx) =>
      tx.record({
        workspaceId,
        projectId,
        runId: of,
        type: "step.started",
        payload: { name, attempt: 1 },
        createdAt: clock.now(),
      }),
    );
  const finish = (id: string) =>
    store.write(async (tx) => {
      await tx.run("update runs set status = 'failed' where id = ?", [id]);
      const payload = { status: "failed" } as const;
      tx.record({ workspaceId, projectId, runId: id, type: "run.finished", payload, createdAt: clock.now() });
    });
  const runnerHealthy = () =>
    store.write(async (tx) => {
      const payload = { runner_id: newId() };
      tx.record({ workspaceId, projectId: null, runId: null, type: "runner.healthy", payload, createdAt: clock.now() });
    });

  return { ada, stranger, workspaceId, projectId, startRun, stepStarted, finish, runnerHealthy };
}
