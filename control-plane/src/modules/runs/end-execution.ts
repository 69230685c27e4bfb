import { newId } from "@shipfox/shared/ids";
import type { WriteTx } from "../../store/store.ts";
import type { Logs } from "../logs/public.ts";
import { requiredCapabilities, type JobModel } from "../workflow/public.ts";
import { decideJob, decideRun, isTerminal, type ExecutionEnd } from "./model.ts";
import type { DispatchPort } from "./ports.ts";
import { EXECUTION_COLUMNS, STEP_COLUMNS, stepsOf } from "./start-run.ts";
import {
  endUnstartedStep,
  finishExecution,
  finishJob,
  finishRun,
  finishStep,
  insertRows,
  loadJobs,
  loadSteps,
  markQueued,
  retryJob,
  type ExecutionFacts,
} from "./store.ts";

export interface RunsDeps {
  readonly dispatch: DispatchPort;
  readonly logs: Logs;
  /** The dialect's row lock, "" on SQLite. */
  readonly forUpdate: string;
}

/**
 * Ends an execution and everything that follows from it: its job's end or retry, the jobs that may start now, the run's
 * end. The caller holds the locks and has ended the lease.
 *
 * `avoidedSessionId`: the session that just failed at the job and is passed over by its retry for a while.
 */
export async function endExecution(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  end: ExecutionEnd,
  options: { now: number; avoidedSessionId?: string | null; timedOut?: boolean },
): Promise<void> {
  const { now } = options;
  const status = end.kind === "succeeded" ? "succeeded" : "failed";
  const reason = end.kind === "succeeded" ? null : end.kind === "failed" ? end.reason : "runner_lost";
  const failure =
    end.kind === "infrastructure" ? { message: end.message, cause: end.cause } : { message: null, cause: null };
  await finishExecution(tx, facts.id, { status, reason, ...failure, timedOut: options.timedOut ?? false }, now);
  const verdict = decideJob({ infrastructureRetries: facts.infrastructure_retries, execution: facts.sequence }, end);
  const about = { key: facts.job_key, sequence: facts.sequence, ...(failure.cause ? { cause: failure.cause } : {}) };
  if (verdict.kind === "retry") {
    record(tx, facts, "job.execution_finished", { ...about, status, reason }, now);
    await retryExecution(tx, deps, facts, verdict, options);
    return;
  }
  await finishJob(tx, facts.job_id, verdict.status, verdict.reason, now);
  record(tx, facts, "job.finished", { ...about, status: verdict.status, reason: verdict.reason }, now);
  await advanceRun(tx, deps, facts, now);
}

/** The replacement: a new execution of the same job with the next sequence, queued now or after its back-off. */
async function retryExecution(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  verdict: { delayMs: number; infrastructureRetries: number },
  options: { now: number; avoidedSessionId?: string | null },
): Promise<void> {
  const { now } = options;
  const model = JSON.parse(facts.job_model) as JobModel;
  const executionId = newId(now);
  const atOnce = verdict.delayMs === 0;
  const dueAt = atOnce ? null : now + verdict.delayMs;
  await retryJob(tx, facts.job_id, verdict.infrastructureRetries, now);
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
  record(tx, retried, "job.queued", { key: facts.job_key, sequence: retried.sequence, retry_of: facts.id }, now);
  await enqueue(tx, deps, retried, model, options.avoidedSessionId ?? null, now);
}

/** Puts an execution into the queue whose back-off is over. */
export async function enqueueRetry(tx: WriteTx, deps: RunsDeps, facts: ExecutionFacts, now: number): Promise<void> {
  await markQueued(tx, facts.id, null, now);
  record(tx, facts, "job.queued", { key: facts.job_key, sequence: facts.sequence }, now);
  await enqueue(tx, deps, facts, JSON.parse(facts.job_model) as JobModel, null, now);
}

function enqueue(
  tx: WriteTx,
  deps: RunsDeps,
  facts: { id: string; workspace_id: string; project_id: string },
  model: JobModel,
  avoidedSessionId: string | null,
  now: number,
): Promise<void> {
  return deps.dispatch.enqueue(tx, {
    executionId: facts.id,
    workspaceId: facts.workspace_id,
    projectId: facts.project_id,
    labels: model.runner,
    capabilities: requiredCapabilities(model),
    priority: 0,
    avoidedSessionId,
    now,
  });
}

/** Starts, skips and finishes what a job's end has decided. */
async function advanceRun(tx: WriteTx, deps: RunsDeps, facts: ExecutionFacts, now: number): Promise<void> {
  const jobs = await loadJobs(tx, facts.run_attempt_id);
  const started = new Set(
    jobs.filter((job) => job.queuedAt !== null || job.executionStatus !== "pending").map((job) => job.key),
  );
  const verdict = decideRun(
    jobs.map((job) => ({ key: job.key, status: job.status, needs: JSON.parse(job.needs) as string[] })),
    started,
  );
  for (const job of jobs) {
    const own = { ...facts, id: job.executionId, job_id: job.id };
    if (verdict.skip.includes(job.key)) {
      await finishJob(tx, job.id, "skipped", "default_gate_rejected", now);
      await finishExecution(
        tx,
        job.executionId,
        { status: "cancelled", reason: "default_gate_rejected", message: null, cause: null, timedOut: false },
        now,
      );
      for (const step of await loadSteps(tx, job.executionId))
        await endUnstartedStep(tx, step.id, "skipped", "default_gate_rejected", now);
      record(tx, own, "job.finished", { key: job.key, status: "skipped", reason: "default_gate_rejected" }, now);
    } else if (verdict.start.includes(job.key)) {
      const model = JSON.parse(job.model) as JobModel;
      await markQueued(tx, job.executionId, now + model.executionTimeoutMs, now);
      deps.dispatch.dueAt(tx, now + model.executionTimeoutMs);
      record(tx, own, "job.queued", { key: job.key, sequence: 1 }, now);
      await enqueue(tx, deps, own, model, null, now);
    }
  }
  if (verdict.finish) {
    await finishRun(tx, facts.run_id, verdict.finish, now);
    record(tx, facts, "run.finished", { status: verdict.finish }, now);
  }
}

/** Ends the steps of an execution that ends from outside; the running one takes `status`, its log closes when the lease is over. */
export async function endOpenSteps(
  tx: WriteTx,
  facts: ExecutionFacts,
  running: { status: "failed" | "cancelled"; message: string; reason?: "timed_out" },
  now: number,
): Promise<void> {
  for (const step of await loadSteps(tx, facts.id)) {
    if (step.status === "running") {
      const error = JSON.stringify({ message: running.message, ...(running.reason ? { reason: running.reason } : {}) });
      await finishStep(
        tx,
        step,
        {
          status: running.status,
          exitCode: null,
          error: running.status === "failed" ? error : null,
          output: null,
          logOutcome: "abandoned",
        },
        now,
      );
      record(tx, { ...facts, stepId: step.id }, "step.finished", { name: step.name, status: running.status }, now);
    } else if (!isTerminal(step.status)) {
      await endUnstartedStep(tx, step.id, "cancelled", null, now);
    }
  }
}

type EventFacts = Pick<ExecutionFacts, "id" | "workspace_id" | "project_id" | "run_id" | "job_id"> & {
  stepId?: string;
};

/** Appends a run event about an execution; `stepId` when it is about one of its steps. */
export function record(
  tx: WriteTx,
  facts: EventFacts,
  type: string,
  payload: Record<string, unknown>,
  now: number,
): void {
  tx.record({
    workspaceId: facts.workspace_id,
    projectId: facts.project_id,
    runId: facts.run_id,
    jobId: facts.job_id,
    executionId: facts.id,
    stepId: facts.stepId ?? null,
    type,
    payload,
    createdAt: now,
  });
}
