import type { RunAttempt, StepAttemptDetail } from "@shipfox/shared/api/runs";
import type { RunAttemptRow, RunRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
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
  readonly source_yaml: string;
}

const STEP = `select s.id, s.job_execution_id, s.position, s.current_attempt, s.config, e.workspace_id, e.run_id, j.key as job_key, r.source_yaml
  from steps s join job_executions e on e.id = s.job_execution_id join jobs j on j.id = e.job_id join runs r on r.id = e.run_id
  where s.id = ?`;
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

/** `document` is the run's workflow file, parsed; null when it cannot be read any more. */
export function presentStepDetail({ step, attempt, view }: FoundStepAttempt, document: unknown): StepAttemptDetail {
  return {
    step_id: step.id,
    attempt,
    authored_config: step.position === 0 ? null : authoredStep(document, step.job_key, step.position - 1),
    config: JSON.parse(step.config) as StepAttemptDetail["config"],
    evaluation_trace: null,
    workflow_run_id: step.run_id,
    job_execution_id: step.job_execution_id,
    step_attempt: view === null ? null : presentStepAttempt(view),
  };
}

function authoredStep(document: unknown, jobKey: string, index: number): StepAttemptDetail["authored_config"] {
  const jobs = (document as { jobs?: Record<string, { steps?: unknown[] }> } | null)?.jobs;
  const step = jobs && Object.hasOwn(jobs, jobKey) ? jobs[jobKey]?.steps?.[index] : undefined;
  return (step ?? null) as StepAttemptDetail["authored_config"];
}
