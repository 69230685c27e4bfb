import { ApiError } from "@shipfox/shared/errors";
import type { JobExecution, RunDetail, Step, StepAttempt } from "@shipfox/shared/api/runs";
import type { JobRow, RunAttemptRow, RunRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { WaitingPort } from "./ports.ts";
import { presentExecution, presentJob, presentRun, presentStep, presentStepAttempt } from "./present.ts";
import { presentAttempt } from "./read-attempts.ts";
import { readDelivered } from "./read-delivered.ts";
import { loadTree } from "./store.ts";
import { explainWaiting, isWaiting, listeningSince, openNeedsAmong } from "./waiting.ts";

/** The whole tree of one attempt of a run: jobs, executions, steps, step attempts. */
export async function readRun(tx: Tx, waiting: WaitingPort, run: RunRow, attemptNumber: number): Promise<RunDetail> {
  const attempt = await tx.get<RunAttemptRow>("select * from run_attempts where run_id = ? and attempt = ?", [
    run.id,
    attemptNumber,
  ]);
  if (!attempt) throw new ApiError("not-found", `the run has no attempt ${attemptNumber}`);
  const tree = await loadTree(tx, attempt.id);

  const attemptsByStep = Map.groupBy(tree.attempts.map(presentStepAttempt), (row: StepAttempt) => row.step_id);
  const stepsByExecution = Map.groupBy(
    tree.steps.map((row) => presentStep(row, attemptsByStep.get(row.id) ?? [])),
    (row: Step) => row.job_execution_id,
  );
  /** The job that ran: of a job that was carried over, the one of the earlier attempt. */
  const ranAs = (job: JobRow) => job.carried_from ?? job.id;
  const labelsByJob = new Map(tree.jobs.map((job) => [ranAs(job), JSON.parse(job.labels) as string[]]));
  const listeners = new Map(tree.listeners.map((listener) => [listener.job_id, listener]));
  const delivered = await deliveredTo(tx, tree);
  const executionsByJob = Map.groupBy(
    tree.executions.map((row) =>
      presentExecution(row, {
        labels: labelsByJob.get(row.job_id) ?? [],
        steps: stepsByExecution.get(row.id) ?? [],
        events: delivered.get(row.job_id)?.get(row.firing ?? 0) ?? [],
      }),
    ),
    (row: JobExecution) => row.job_id,
  );
  const newest = new Map(tree.executions.map((row) => [row.job_id, row]));
  const openNeedsOf = openNeedsAmong(tree.jobs);

  const explain = waiting.explainIn(tx);
  const jobs = [];
  for (const job of tree.jobs) {
    const execution = newest.get(ranAs(job));
    const listener = listeners.get(ranAs(job));
    const reason = isWaiting(job, execution, listener)
      ? await explainWaiting(tx, explain, {
          workspaceId: job.workspace_id,
          projectId: job.project_id,
          jobId: job.id,
          model: job.model,
          concurrencyGroup: job.concurrency_group,
          labels: execution?.labels ?? job.labels,
          createdAt: execution?.created_at ?? job.created_at,
          queuedAt: execution?.queued_at ?? null,
          dueAt: execution?.due_at ?? null,
          placeWantedAt: run.place_wanted_at,
          openNeeds: openNeedsOf(job),
          listeningSince: listeningSince(execution, listener),
        })
      : null;
    jobs.push(presentJob(job, executionsByJob.get(ranAs(job)) ?? [], listener, reason));
  }
  return {
    ...presentRun(run),
    run_attempt: presentAttempt(attempt, run),
    has_started_job_execution: tree.executions.some((execution) => execution.started_at !== null),
    jobs,
  };
}

/** By the job that ran, then by the firing. */
async function deliveredTo(tx: Tx, { listeners, executions }: Awaited<ReturnType<typeof loadTree>>) {
  const delivered = new Map<string, Awaited<ReturnType<typeof readDelivered>>>();
  for (const { job_id: jobId } of listeners) {
    const first = executions.find((execution) => execution.job_id === jobId)?.firing;
    if (first != null) delivered.set(jobId, await readDelivered(tx, jobId, first));
  }
  return delivered;
}
