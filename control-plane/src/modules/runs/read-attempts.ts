import type { RunAttempt, StepAttemptDetail } from "@shipfox/shared/api/runs";
import type { RunAttemptRow, RunRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { MatrixModel } from "../workflow/public.ts";
import { iso, isoOrNull, presentStepAttempt } from "./present.ts";
import type { StepAttemptView } from "./store.ts";

const ATTEMPTS = "select * from run_attempts where run_id = ? order by attempt";

/** All attempts of a run, oldest first. */
export async function readAttempts(tx: Tx, run: RunRow): Promise<RunAttempt[]> {
  const rows = await tx.all<RunAttemptRow>(ATTEMPTS, [run.id]);
  return rows.map((row) => presentAttempt(row, run));
}

/** The run's row is the state of its current attempt. */
export function presentAttempt(attempt: RunAttemptRow, run: RunRow): RunAttempt {
  const state = attempt.attempt === run.current_attempt ? run : attempt;
  return {
    id: attempt.id,
    workflow_run_id: run.id,
    attempt: attempt.attempt,
    status: state.status as RunAttempt["status"],
    created_at: iso(attempt.created_at),
    started_at: isoOrNull(state.started_at),
    finished_at: isoOrNull(state.finished_at),
    rerun_mode: attempt.rerun_mode as RunAttempt["rerun_mode"],
  };
}

interface StepInRun {
  readonly id: string;
  readonly job_execution_id: string;
  readonly position: number;
  readonly current_attempt: number;
  readonly config: string;
  readonly workspace_id: string;
  readonly run_id: string;
  readonly job_key: string;
  readonly within: string | null;
  readonly matrix: string | null;
  readonly source_location: string | null;
  readonly source_yaml: string;
  readonly called_files: string | null;
}

const STEP = `select s.id, s.job_execution_id, s.position, s.current_attempt, s.config, e.workspace_id, e.run_id, j.key as job_key, j.within, j.matrix, s.source_location, r.source_yaml, r.called_files
  from steps s join job_executions e on e.id = s.job_execution_id join jobs j on j.id = e.job_id join runs r on r.id = e.run_id
  where s.id = ? and r.removed_at is null`;
const STEP_ATTEMPT = `select id, step_id, attempt, execution_order, status, exit_code, output, outputs, error, gate_result, restart_feedback, started_at, finished_at
  from step_attempts where job_execution_id = ? and step_id = ? and attempt = ?`;

export interface FoundStepAttempt {
  readonly step: StepInRun;
  readonly attempt: number;
  readonly view: StepAttemptView | null;
}

/** Null when there is no such step, or it has no such attempt. The first attempt exists before it has started. */
export async function findStepAttempt(tx: Tx, stepId: string, attempt: number): Promise<FoundStepAttempt | null> {
  const step = await tx.get<StepInRun>(STEP, [stepId]);
  if (!step || attempt > step.current_attempt) return null;
  const view = await tx.get<StepAttemptView>(STEP_ATTEMPT, [step.job_execution_id, stepId, attempt]);
  return { step, attempt, view: view ?? null };
}

/** The workflow file in which a step stands. */
export function fileOfStep({ source_location, source_yaml, called_files }: StepInRun): string {
  const { path } = JSON.parse(source_location ?? "{}") as { path?: string };
  const called = JSON.parse(called_files ?? "[]") as { path: string; yaml: string }[];
  return path === undefined ? source_yaml : (called.find((file) => file.path === path)?.yaml ?? "");
}

/** `document` is the workflow file in which the step stands, parsed; null when it cannot be read any more. */
export function presentStepDetail({ step, attempt, view }: FoundStepAttempt, document: unknown): StepAttemptDetail {
  return {
    step_id: step.id,
    attempt,
    authored_config: step.position === 0 ? null : authoredStep(document, step),
    config: JSON.parse(step.config) as StepAttemptDetail["config"],
    evaluation_trace: null,
    workflow_run_id: step.run_id,
    job_execution_id: step.job_execution_id,
    step_attempt: view === null ? null : presentStepAttempt(view),
  };
}

function authoredStep(
  document: unknown,
  { job_key, within, matrix, position }: StepInRun,
): StepAttemptDetail["authored_config"] {
  const key = matrix === null ? job_key : (JSON.parse(matrix) as MatrixModel).job;
  const jobKey = within === null ? key : key.slice(within.length + 1);
  const jobs = (document as { jobs?: Record<string, { steps?: unknown[] }> } | null)?.jobs;
  const step = jobs && Object.hasOwn(jobs, jobKey) ? jobs[jobKey]?.steps?.[position - 1] : undefined;
  return (step ?? null) as StepAttemptDetail["authored_config"];
}
