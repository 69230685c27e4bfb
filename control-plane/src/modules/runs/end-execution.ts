import { newId } from "@shipfox/shared/ids";
import type { WriteTx } from "../../store/store.ts";
import type { JobModel } from "../workflow/public.ts";
import { advanceListener } from "./advance-listener.ts";
import { advanceRun } from "./advance-run.ts";
import { jobEnded } from "./concurrency.ts";
import { viewpointOf } from "./contexts.ts";
import { judgeSuccess, publishOutputs } from "./job-results.ts";
import { decideJob, type ExecutionEnd, type JobVerdict } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { enqueue, queueExecution } from "./queue-execution.ts";
import { record } from "./record-event.ts";
import { fillPlaces } from "./run-places.ts";
import { EXECUTION_COLUMNS, STEP_COLUMNS, stepsOf } from "./insert-jobs.ts";
import { replaceExecution, triesOf } from "./listener-store.ts";
import { clearDue, type ExecutionFacts, finishExecution, finishJob, insertRows, retryJob } from "./store.ts";

/**
 * Ends an execution and everything that follows from it: its job's end or retry, the jobs that may start now, the run's
 * end. The caller holds the locks and has ended the lease. Answers what became of the execution: outputs that cannot be
 * published make a failure of a success.
 *
 * `avoidedSessionId`: the session that just failed at the job and is passed over by its retry for a while.
 */
export async function endExecution(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  reported: ExecutionEnd,
  options: { now: number; avoidedSessionId?: string | null; timedOut?: boolean },
): Promise<"succeeded" | "failed"> {
  const { now } = options;
  const model = JSON.parse(facts.job_model) as JobModel;
  const { end, outputs, message } = await publishOutputs(tx, deps, viewpointOf(facts, model), model, reported);
  const status = end.kind === "succeeded" ? "succeeded" : "failed";
  const reason = end.kind === "succeeded" ? null : end.kind === "failed" ? end.reason : "runner_lost";
  const failure = end.kind === "infrastructure" ? { message: end.message, cause: end.cause } : { message, cause: null };
  const timedOut = options.timedOut ?? false;
  await finishExecution(tx, facts.id, { status, reason, ...failure, outputs, timedOut }, now);
  const tries = {
    infrastructureRetries: facts.infrastructure_retries,
    retries: facts.retries,
    execution: model.listening ? await triesOf(tx, facts.job_id, facts.id) : facts.sequence,
  };
  const decided = decideJob(tries, end, model.retry);
  const about = { key: facts.job_key, sequence: facts.sequence, ...(failure.cause ? { cause: failure.cause } : {}) };
  if (decided.kind === "retry") {
    record(tx, facts, "job.execution_finished", { ...about, status, reason }, now);
    await retryExecution(tx, deps, facts, model, decided, options);
    return status;
  }
  if (model.listening) {
    record(tx, facts, "job.execution_finished", { ...about, status, reason }, now);
    await advanceListener(tx, deps, facts.job_id, now);
    return status;
  }
  const verdict = await judgeSuccess(tx, deps, facts, model, decided);
  const published = verdict.status === "succeeded" ? outputs : null;
  await finishJob(tx, facts.job_id, { ...verdict, message: verdict.message ?? message, outputs: published }, now);
  record(tx, facts, "job.finished", { ...about, status: verdict.status, reason: verdict.reason }, now);
  if (model.concurrency) await jobEnded(tx, deps, facts.job_id, now);
  const { finished } = await advanceRun(tx, deps, facts, now);
  if (finished) await fillPlaces(tx, deps, facts.workspace_id, now);
  return status;
}

/** The replacement: a new execution of the same job with the next sequence, queued now or after its back-off. */
async function retryExecution(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  model: JobModel,
  verdict: Extract<JobVerdict, { kind: "retry" }>,
  options: { now: number; avoidedSessionId?: string | null; timedOut?: boolean },
): Promise<void> {
  const { now } = options;
  const executionId = newId(now);
  // In a concurrency group no runner may start before the one that is being stopped has; the end of its lease queues the job.
  const waitsForLease = model.concurrency && options.timedOut && (await deps.dispatch.isLeased(tx, facts.job_id));
  const atOnce = verdict.delayMs === 0 && !waitsForLease;
  const dueAt = verdict.delayMs === 0 ? null : now + verdict.delayMs;
  await retryJob(tx, facts.job_id, { ...verdict, status: model.listening ? "running" : "pending" }, now);
  await insertRows(tx, "job_executions", EXECUTION_COLUMNS, [
    [
      executionId,
      facts.workspace_id,
      facts.project_id,
      facts.run_id,
      facts.run_attempt_id,
      facts.job_id,
      facts.sequence + 1,
      facts.id,
      model.name ?? model.key,
      "pending",
      atOnce ? now : null,
      dueAt,
      now,
      now,
    ],
  ]);
  if (model.listening) await replaceExecution(tx, facts.id, executionId);
  await insertRows(tx, "steps", STEP_COLUMNS, stepsOf(model, executionId, now));
  const retried = { ...facts, id: executionId, sequence: facts.sequence + 1 };
  if (dueAt !== null) {
    deps.dispatch.dueAt(tx, dueAt);
    record(
      tx,
      retried,
      "job.retry_scheduled",
      { key: facts.job_key, sequence: retried.sequence, at: new Date(dueAt).toISOString() },
      now,
    );
    return;
  }
  if (!atOnce) return;
  record(tx, retried, "job.queued", { key: facts.job_key, sequence: retried.sequence, retry_of: facts.id }, now);
  await enqueue(tx, deps, retried, model, options.avoidedSessionId ?? null, now);
}

/**
 * Puts an execution into the queue whose back-off is over. In a concurrency group the runner of the last one must have
 * stopped: the end of its lease queues it.
 */
export async function enqueueRetry(tx: WriteTx, deps: RunsDeps, facts: ExecutionFacts, now: number): Promise<void> {
  const model = JSON.parse(facts.job_model) as JobModel;
  if (model.concurrency && (await deps.dispatch.isLeased(tx, facts.job_id))) await clearDue(tx, facts.id, now);
  else await queueExecution(tx, deps, facts, model, now);
}
