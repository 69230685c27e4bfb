import { newId } from "@shipfox/shared/ids";
import type { WriteTx } from "../../store/store.ts";
import { type JobModel, type ListeningModel, resolveExecution, variablesOfJob } from "../workflow/public.ts";
import { viewpointOf } from "./contexts.ts";
import { fillName } from "./evaluate.ts";
import { EXECUTION_COLUMNS, STEP_COLUMNS, stepsOf } from "./insert-jobs.ts";
import { type ListenerFacts, setUpExecution, takeForFiring } from "./listener-store.ts";
import type { RunsDeps } from "./ports.ts";
import { enqueue, fillLabels } from "./queue-execution.ts";
import { record } from "./record-event.ts";
import { finishExecution, insertRows, markQueued, nameExecution } from "./store.ts";

export type ListeningJob = JobModel & { readonly listening: ListeningModel };

/**
 * Makes and queues the next execution, which gets so many of the events that wait, with the variables and labels of now. One that
 * cannot be made has failed, and its job listens on. Answers when the job is looked at again: after a failure at once, but in a
 * transaction of its own, since there may be a thousand of them.
 */
export async function fire(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ListenerFacts,
  job: ListeningJob,
  events: number,
  now: number,
): Promise<number> {
  const { job_id: jobId, key } = facts;
  const own = { ...facts, id: newId(now) };
  const [firing, sequence] = [facts.firings + 1, (facts.sequence ?? 0) + 1];
  await insertRows(tx, "job_executions", EXECUTION_COLUMNS, [
    [
      own.id,
      facts.workspace_id,
      facts.project_id,
      facts.run_id,
      facts.run_attempt_id,
      jobId,
      sequence,
      null,
      job.name ?? key,
      "pending",
      null,
      null,
      now,
      now,
    ],
  ]);
  await takeForFiring(tx, jobId, { executionId: own.id, firing, events, now });
  const made = await modelOf(tx, deps, own, job);
  if (!made.ok) {
    const end = { status: "failed", reason: "unknown", message: made.message, cause: null, timedOut: false } as const;
    await finishExecution(tx, own.id, end, now);
    record(tx, own, "job.execution_finished", { key, sequence, status: "failed", reason: "unknown" }, now);
    return now;
  }
  const { model } = made;
  await setUpExecution(tx, own.id, { labels: JSON.stringify(model.runner), model: JSON.stringify(model) });
  if (model.executionName) {
    const name = await fillName(tx, deps, viewpointOf(own, model), model.executionName);
    if (name !== null) await nameExecution(tx, own.id, name);
  }
  await insertRows(tx, "steps", STEP_COLUMNS, stepsOf(model, own.id, now));
  await markQueued(tx, own.id, now + model.executionTimeoutMs, now);
  deps.dispatch.dueAt(tx, now + model.executionTimeoutMs);
  record(tx, own, "job.queued", { key, sequence }, now);
  await enqueue(tx, deps, own, model, null, now);
  return facts.expires_at ?? now;
}

/** What the execution does, or why that cannot be said, in words. */
async function modelOf(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ListenerFacts & { readonly id: string },
  job: JobModel,
): Promise<{ ok: true; model: JobModel } | { ok: false; message: string }> {
  const place = { workspaceId: facts.workspace_id, projectId: facts.project_id };
  const resolved = resolveExecution(job, await deps.readVariables(tx, place, variablesOfJob(job)));
  return resolved.ok ? fillLabels(tx, deps, facts, resolved.model) : { ok: false, message: resolved.fault.message };
}
