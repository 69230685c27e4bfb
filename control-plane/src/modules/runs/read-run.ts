import { ApiError } from "@shipfox/shared/errors";
import type { JobExecution, RunDetail, Step, StepAttempt } from "@shipfox/shared/api/runs";
import type { RunRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import { isTerminal } from "./model.ts";
import type { WaitingPort } from "./ports.ts";
import {
  iso,
  isoOrNull,
  presentExecution,
  presentJob,
  presentRun,
  presentStep,
  presentStepAttempt,
} from "./present.ts";
import { loadTree } from "./store.ts";
import { explainWaiting } from "./waiting.ts";

/** The whole tree of one attempt of a run: jobs, executions, steps, step attempts. */
export async function readRun(tx: Tx, waiting: WaitingPort, run: RunRow, attemptNumber: number): Promise<RunDetail> {
  const attempt = await tx.get<{
    id: string;
    status: string;
    rerun_mode: string | null;
    created_at: number;
    started_at: number | null;
    finished_at: number | null;
  }>(
    "select id, status, rerun_mode, created_at, started_at, finished_at from run_attempts where run_id = ? and attempt = ?",
    [run.id, attemptNumber],
  );
  if (!attempt) throw new ApiError("not-found", `the run has no attempt ${attemptNumber}`);
  const state = attemptNumber === run.current_attempt ? run : attempt;
  const tree = await loadTree(tx, attempt.id);

  const attemptsByStep = Map.groupBy(tree.attempts.map(presentStepAttempt), (row: StepAttempt) => row.step_id);
  const stepsByExecution = Map.groupBy(
    tree.steps.map((row) => presentStep(row, attemptsByStep.get(row.id) ?? [])),
    (row: Step) => row.job_execution_id,
  );
  const labelsByJob = new Map(tree.jobs.map((job) => [job.id, JSON.parse(job.labels) as string[]]));
  const executionsByJob = Map.groupBy(
    tree.executions.map((row) =>
      presentExecution(row, labelsByJob.get(row.job_id) ?? [], stepsByExecution.get(row.id) ?? []),
    ),
    (row: JobExecution) => row.job_id,
  );
  const newest = new Map(tree.executions.map((row) => [row.job_id, row]));
  const statusByKey = new Map(tree.jobs.map((job) => [job.key, job.status]));

  const jobs = [];
  for (const job of tree.jobs) {
    const execution = newest.get(job.id);
    const reason =
      job.status === "pending" && execution
        ? await explainWaiting(tx, waiting, {
            workspaceId: job.workspace_id,
            projectId: job.project_id,
            model: job.model,
            createdAt: execution.created_at,
            queuedAt: execution.queued_at,
            dueAt: execution.due_at,
            openNeeds: (JSON.parse(job.needs) as string[]).filter(
              (key) => !isTerminal(statusByKey.get(key) ?? "pending"),
            ),
          })
        : null;
    jobs.push(presentJob(job, executionsByJob.get(job.id) ?? [], reason));
  }
  return {
    ...presentRun(run),
    run_attempt: {
      id: attempt.id,
      workflow_run_id: run.id,
      attempt: attemptNumber,
      status: state.status as RunDetail["status"],
      created_at: iso(attempt.created_at),
      started_at: isoOrNull(state.started_at),
      finished_at: isoOrNull(state.finished_at),
      rerun_mode: attempt.rerun_mode as "all" | "failed" | null,
    },
    has_started_job_execution: tree.executions.some((execution) => execution.started_at !== null),
    jobs,
  };
}
