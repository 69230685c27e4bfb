import type { FailureClass, InfrastructureCause } from "@shipfox/shared/failure";
import {
  type Job,
  type JobExecution,
  type RunDetail,
  type Step,
  type StepError,
  TERMINAL_STATUSES,
} from "@shipfox/shared/api/runs";

/** Where an event belongs. `lane` names what must be shown in order: one execution of one job. */
interface Place {
  job: string;
  lane: string;
}

export interface RunEvent {
  type: "run";
  status: string;
  name: string;
  number: number;
  duration_ms: number | null;
}

export interface JobEvent extends Place {
  type: "job";
  status: string;
  reason: string | null;
  /** Why it has not started, or what it listens for, in words; null when it does not wait. */
  waiting: string | null;
  /** What ended the listening of a listening job; null while it listens, and for any other job. */
  resolution: string | null;
}

export interface ExecutionEvent extends Place {
  type: "execution";
  sequence: number;
  status: string;
  reason: string | null;
  message: string | null;
  failure_class: FailureClass | null;
  failure_cause: InfrastructureCause | null;
  runner: string | null;
  /** What a listening job gave to it, as `source event`. */
  trigger_events: string[];
  duration_ms: number | null;
}

export interface StepEvent extends Place {
  type: "step";
  step: string;
  step_id: string;
  attempt: number;
  status: string;
  reason: string | null;
  exit_code: number | null;
  error: StepError | null;
  duration_ms: number | null;
}

/** The log of a step's attempt has begun and is to be shown from its start. Comes once for each attempt. */
export interface LogEvent extends Place {
  type: "log";
  step: string;
  step_key: string | null;
  step_type: Step["type"];
  step_id: string;
  attempt: number;
}

export type OutputEvent = RunEvent | JobEvent | ExecutionEvent | StepEvent | LogEvent;

/**
 * What to show for the way from `previous` (null: nothing was shown yet) to `next`, in the order in which it happened
 * within each lane: run, execution started, steps one after another each with its log, execution ended, job ended. States
 * that were passed between two looks are shown as if they had been seen. Of a job that was skipped only that is told: nothing of
 * it ever ran.
 */
export function planOutput(previous: RunDetail | null, next: RunDetail): OutputEvent[] {
  const events: OutputEvent[] = [];
  const runChanged = previous?.status !== next.status;
  const runEnded = TERMINAL_STATUSES.has(next.status);
  if (runChanged && !runEnded) events.push(runEvent(next));
  const before = new Map(previous?.jobs.map((job) => [job.id, job]));
  for (const job of [...next.jobs].sort((a, b) => a.position - b.position))
    events.push(...planJob(before.get(job.id), job));
  if (runChanged && runEnded) events.push(runEvent(next));
  return events;
}

function planJob(previous: Job | undefined, next: Job): OutputEvent[] {
  const events: OutputEvent[] = [];
  const before = new Map(previous?.job_executions.map((execution) => [execution.id, execution]));
  const executions = next.status === "skipped" ? [] : next.job_executions;
  for (const execution of [...executions].sort((a, b) => a.sequence - b.sequence)) {
    events.push(...planExecution(next.key, before.get(execution.id), execution));
  }
  const ended = TERMINAL_STATUSES.has(next.status);
  const startedWaiting = next.waiting !== null && next.waiting.reason !== previous?.waiting?.reason;
  if (startedWaiting || (ended && previous?.status !== next.status)) {
    const lane = next.job_executions.at(-1)?.id ?? next.id;
    events.push({
      type: "job",
      job: next.key,
      lane,
      status: next.status,
      reason: next.status_reason,
      waiting: next.waiting?.message ?? null,
      resolution: next.resolution_reason,
    });
  }
  return events;
}

function planExecution(job: string, previous: JobExecution | undefined, next: JobExecution): OutputEvent[] {
  const place: Place = { job, lane: next.id };
  const events: OutputEvent[] = [];
  if (next.started_at !== null && (previous?.started_at ?? null) === null) {
    events.push({ ...executionEvent(place, next), status: "running", reason: null, message: null, duration_ms: null });
  }
  events.push(...planSteps(place, previous, next));
  if (TERMINAL_STATUSES.has(next.status) && previous?.status !== next.status) events.push(executionEvent(place, next));
  return events;
}

function planSteps(place: Place, previous: JobExecution | undefined, next: JobExecution): OutputEvent[] {
  const attemptsBefore = new Map(
    previous?.steps.flatMap((step) => step.attempts).map((attempt) => [attempt.id, attempt]),
  );
  const stepsBefore = new Map(previous?.steps.map((step) => [step.id, step]));
  const events: OutputEvent[] = [];
  const rows = next.steps.flatMap((step) => step.attempts.map((attempt) => ({ step, attempt })));
  for (const { step, attempt } of rows.sort((a, b) => a.attempt.execution_order - b.attempt.execution_order)) {
    const seen = attemptsBefore.get(attempt.id);
    const names = { step: step.name, step_id: step.id, attempt: attempt.attempt };
    if (!seen) {
      const open = { status: "running", reason: null, exit_code: null, error: null, duration_ms: null };
      events.push({ type: "step", ...place, ...names, ...open });
      events.push({ type: "log", ...place, ...names, step_key: step.key, step_type: step.type });
    }
    if (TERMINAL_STATUSES.has(attempt.status) && seen?.status !== attempt.status) {
      const error = attempt.attempt === step.current_attempt ? step.error : null;
      const duration_ms = millisecondsBetween(attempt.started_at, attempt.finished_at);
      const ended = { status: attempt.status, reason: null, exit_code: attempt.exit_code, error, duration_ms };
      events.push({ type: "step", ...place, ...names, ...ended });
    }
  }
  for (const step of [...next.steps].sort((a, b) => a.position - b.position)) {
    const neverRan = step.attempts.length === 0 && TERMINAL_STATUSES.has(step.status);
    if (!neverRan || stepsBefore.get(step.id)?.status === step.status) continue;
    const names = { step: step.name, step_id: step.id, attempt: step.current_attempt };
    const facts = { status: step.status, reason: step.status_reason, exit_code: null, error: step.error };
    events.push({ type: "step", ...place, ...names, ...facts, duration_ms: null });
  }
  return events;
}

function runEvent(run: RunDetail): RunEvent {
  const duration_ms = millisecondsBetween(run.run_attempt.started_at, run.run_attempt.finished_at);
  return { type: "run", status: run.status, name: run.name, number: run.number, duration_ms };
}

function executionEvent(place: Place, execution: JobExecution): ExecutionEvent {
  return {
    type: "execution",
    ...place,
    sequence: execution.sequence,
    status: execution.status,
    reason: execution.status_reason,
    message: execution.status_reason_message,
    failure_class: execution.failure_class,
    failure_cause: execution.failure_cause,
    runner: execution.runner_name,
    trigger_events: execution.trigger_events.map(({ source, event }) => `${source} ${event}`),
    duration_ms: millisecondsBetween(execution.started_at, execution.finished_at),
  };
}

/** Null while one end is missing. */
export function millisecondsBetween(from: string | null, to: string | null): number | null {
  return from === null || to === null ? null : Math.max(0, Date.parse(to) - Date.parse(from));
}
