import type { WriteTx } from "../../store/store.ts";
import { type JobModel, MAX_LISTENING_MS } from "../workflow/public.ts";
import { contextOf, viewpointOf } from "./contexts.ts";
import { openListener } from "./listener-store.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { beginJob } from "./store.ts";

/**
 * A listening job starts: it waits for events from here on, whatever runs. What its filters see beside the event is what it is
 * now. Its run is running, also before the first event.
 */
export async function activateListener(
  tx: WriteTx,
  { dispatch }: Pick<RunsDeps, "dispatch">,
  facts: {
    readonly workspace_id: string;
    readonly project_id: string;
    readonly run_id: string;
    readonly run_attempt_id: string;
    readonly job_id: string;
  },
  model: JobModel,
  now: number,
): Promise<void> {
  if (!model.listening) throw new Error(`the job ${model.key} has neither an execution nor anything to listen for`);
  const { on, until, timeoutMs } = model.listening;
  const filters = [...on, ...until].flatMap(({ filter }) => (filter === null ? [] : [filter]));
  const snapshot = await contextOf(tx, viewpointOf(facts, model), filters);
  const expiresAt = now + Math.min(timeoutMs ?? MAX_LISTENING_MS, MAX_LISTENING_MS);
  const job = { jobId: facts.job_id, workspaceId: facts.workspace_id };
  await openListener(tx, job, { on, until }, { snapshot, expiresAt, now });
  dispatch.dueAt(tx, expiresAt);
  if (await beginJob(tx, { jobId: facts.job_id, runId: facts.run_id }, now)) {
    const { workspace_id, project_id, run_id } = facts;
    record(tx, { workspace_id, project_id, run_id }, "run.started", { status: "running" }, now);
  }
  record(tx, facts, "job.listening", { key: model.key, expires_at: new Date(expiresAt).toISOString() }, now);
}
