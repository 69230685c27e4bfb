import type { Store } from "../store/store.ts";

/** Rows of a kind that are read of one attempt of a run; of a run with more, the rest is not traced. */
export const MAX_ROWS = 2_000;

/** An attempt that a newer one has replaced keeps its state in its own row, the current one in that of its run. */
const ATTEMPT = `select r.id as run_id, r.name, r.number, r.workflow_name, r.workspace_id, r.project_id, r.trigger_source,
    r.trigger_event, a.id, a.attempt, a.created_at,
    case when a.attempt = r.current_attempt then r.status else a.status end as status,
    case when a.attempt = r.current_attempt then r.finished_at else a.finished_at end as finished_at
  from runs r join run_attempts a on a.run_id = r.id
  where r.id = ? and case when a.attempt = r.current_attempt then r.finished_at else a.finished_at end = ?
  order by a.attempt desc limit 1`;
const JOBS = `select id, key, name, status, status_reason, created_at, updated_at, carried_from from jobs
  where run_attempt_id = ? order by position limit ${MAX_ROWS}`;
const EXECUTIONS = `select e.id, e.job_id, e.sequence, e.status, e.status_reason, e.runner_id, e.created_at, e.queued_at, e.started_at,
    e.finished_at
  from jobs j join job_executions e on e.job_id = j.id where j.run_attempt_id = ? order by e.id limit ${MAX_ROWS}`;
const STEPS = `select a.job_execution_id, a.step_id, a.attempt, a.status, a.exit_code, a.started_at, a.finished_at, s.key, s.name, s.type
  from jobs j join job_executions e on e.job_id = j.id join step_attempts a on a.job_execution_id = e.id
    join steps s on s.id = a.step_id
  where j.run_attempt_id = ? order by a.job_execution_id, a.execution_order limit ${MAX_ROWS}`;

export interface TracedAttempt {
  readonly run_id: string;
  readonly name: string;
  readonly number: number;
  readonly workflow_name: string;
  readonly workspace_id: string;
  readonly project_id: string;
  readonly trigger_source: string;
  readonly trigger_event: string;
  readonly id: string;
  readonly attempt: number;
  readonly status: string;
  readonly created_at: number;
  readonly finished_at: number;
}

export interface TracedJob {
  readonly id: string;
  readonly key: string;
  readonly name: string | null;
  readonly status: string;
  readonly status_reason: string | null;
  readonly created_at: number;
  readonly updated_at: number;
  readonly carried_from: string | null;
}

export interface TracedExecution {
  readonly id: string;
  readonly job_id: string;
  readonly sequence: number;
  readonly status: string;
  readonly status_reason: string | null;
  readonly runner_id: string | null;
  readonly created_at: number;
  readonly queued_at: number | null;
  readonly started_at: number | null;
  readonly finished_at: number | null;
}

export interface TracedStep {
  readonly job_execution_id: string;
  readonly step_id: string;
  readonly attempt: number;
  readonly status: string;
  readonly exit_code: number | null;
  readonly started_at: number;
  readonly finished_at: number | null;
  readonly key: string | null;
  readonly name: string;
  readonly type: string;
}

export interface TracedRun {
  readonly attempt: TracedAttempt;
  readonly jobs: readonly TracedJob[];
  readonly executions: readonly TracedExecution[];
  readonly steps: readonly TracedStep[];
}

/** The attempt of a run that ended at `endedAt`, read beside the event loop; null when there is none, or the run is gone. */
export async function readEndedRun(store: Store, runId: string, endedAt: number): Promise<TracedRun | null> {
  const [attempt] = await store.readSlow<TracedAttempt>(ATTEMPT, [runId, endedAt]);
  if (!attempt) return null;
  const [jobs, executions, steps] = await Promise.all([
    store.readSlow<TracedJob>(JOBS, [attempt.id]),
    store.readSlow<TracedExecution>(EXECUTIONS, [attempt.id]),
    store.readSlow<TracedStep>(STEPS, [attempt.id]),
  ]);
  return { attempt, jobs, executions, steps };
}
