import { infrastructureCauseSchema, type FailureClass, type InfrastructureCause } from "@shipfox/shared/failure";
import type {
  GateResult,
  Job,
  JobExecution,
  Listening,
  Run,
  Step,
  StepAttempt,
  Waiting,
} from "@shipfox/shared/api/runs";
import type { JobRow, ListenerRow, RunRow, StepRow } from "../../store/schema.ts";
import type { JobModel, ListeningModel, MatrixModel } from "../workflow/public.ts";
import type { ExecutionWithRunner, StepAttemptView } from "./store.ts";

export function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

export function isoOrNull(milliseconds: number | null): string | null {
  return milliseconds === null ? null : iso(milliseconds);
}

function jsonOrNull<T>(text: string | null): T | null {
  return text === null ? null : (JSON.parse(text) as T);
}

export function presentRun(run: RunRow): Run {
  return {
    id: run.id,
    project_id: run.project_id,
    definition_id: run.definition_id,
    number: run.number,
    name: run.name,
    workflow_name: run.workflow_name,
    status: run.status as Run["status"],
    current_attempt: run.current_attempt,
    latest_attempt: run.current_attempt,
    trigger_provider: run.trigger_provider,
    trigger_source: run.trigger_source,
    trigger_event: run.trigger_event,
    trigger_payload: JSON.parse(run.trigger_payload),
    trigger_reference: run.trigger_reference === null ? null : JSON.parse(run.trigger_reference),
    inputs: jsonOrNull(run.inputs),
    source_snapshot: { content: run.source_yaml, format: "yaml", ...calledFiles(run) },
    created_at: iso(run.created_at),
    updated_at: iso(run.updated_at),
    started_at: isoOrNull(run.started_at),
    finished_at: isoOrNull(run.finished_at),
  };
}

function calledFiles({ called_files }: RunRow): { called?: { path: string; content: string }[] } {
  const files = jsonOrNull<{ path: string; yaml: string }[]>(called_files);
  return files === null ? {} : { called: files.map(({ path, yaml }) => ({ path, content: yaml })) };
}

/** Step errors that are not the user's: the machine, or the repository's host, let the step down. */
const INFRASTRUCTURE_REASONS: ReadonlySet<string> = new Set([
  "sandbox_unavailable",
  "git_unavailable",
  "checkout_unavailable",
]);

function failureOfStep(step: Pick<Step, "status" | "error">): FailureClass | null {
  if (step.status !== "failed") return null;
  return INFRASTRUCTURE_REASONS.has(step.error?.reason ?? "") ? "infrastructure" : "user";
}

interface Failure {
  failure_class: FailureClass | null;
  failure_cause: InfrastructureCause | null;
}
const NO_FAILURE: Failure = { failure_class: null, failure_cause: null };

function failureOfExecution(execution: ExecutionWithRunner, steps: readonly Step[]): Failure {
  if (execution.status !== "failed") return NO_FAILURE;
  const cause = execution.failure_cause === null ? null : infrastructureCauseSchema.parse(execution.failure_cause);
  const byMachine = cause !== null || steps.some((step) => step.failure_class === "infrastructure");
  return { failure_class: byMachine ? "infrastructure" : "user", failure_cause: cause };
}

/** A job failed as its newest execution did, or, one that listened, as the newest that failed. */
function failureOfJob(job: JobRow, executions: readonly JobExecution[]): Failure {
  const newest = executions.findLast(({ status }) => status === "failed") ?? executions.at(-1);
  if (job.status !== "failed" || !newest) return NO_FAILURE;
  return { failure_class: newest.failure_class, failure_cause: newest.failure_cause };
}

export type ListenerState = Pick<ListenerRow, "status" | "resolution_reason">;

export function presentJob(
  job: JobRow,
  executions: JobExecution[],
  listener: ListenerState | undefined,
  waiting: Waiting | null,
): Job {
  const model = JSON.parse(job.model) as JobModel;
  return {
    id: job.id,
    run_attempt_id: job.run_attempt_id,
    key: job.key,
    name: job.name,
    matrix: presentMatrix(job.matrix),
    call: job.calls === null ? null : { workflow: job.calls, inputs: jsonOrNull(job.inputs) },
    within: job.within,
    mode: modeOf(model),
    status: job.status as Job["status"],
    status_reason: job.status_reason as Job["status_reason"],
    status_reason_message: job.status_reason_message,
    ...failureOfJob(job, executions),
    carried_over: job.carried_from !== null,
    success: model.success ?? null,
    runner: JSON.parse(job.labels),
    concurrency_group: job.concurrency_group,
    evaluation_trace: null,
    listening: model.listening ? presentListening(model, model.listening) : null,
    listener_status: listener?.status ?? "inactive",
    resolution_reason: listener?.resolution_reason ?? null,
    outputs: jsonOrNull(job.outputs),
    dependencies: JSON.parse(job.needs),
    position: job.position,
    waiting,
    created_at: iso(job.created_at),
    updated_at: iso(job.updated_at),
    job_executions: executions,
  };
}

export function modeOf({ listening }: Pick<JobModel, "listening">): Job["mode"] {
  return listening ? "listening" : "one_shot";
}

function presentListening({ executionTimeoutMs, name }: JobModel, listening: ListeningModel): Listening {
  const { on, until, timeoutMs, maxExecutions, batch, onResolve } = listening;
  const triggers = (list: ListeningModel["on"]): Listening["on"] =>
    list.map(({ source, event, with: inputs, filter }) => ({
      source,
      event,
      ...(inputs === null ? {} : { inputs: inputs as NonNullable<Listening["on"][number]["inputs"]> }),
      ...(filter === null ? {} : { filter }),
    }));
  return {
    on: triggers(on),
    until: until.length === 0 ? null : triggers(until),
    timeout_ms: timeoutMs,
    max_executions: maxExecutions,
    batch: batch && {
      ...(batch.debounceMs === null ? {} : { debounce_ms: batch.debounceMs }),
      ...(batch.maxSize === null ? {} : { max_size: batch.maxSize }),
      ...(batch.maxWaitMs === null ? {} : { max_wait_ms: batch.maxWaitMs }),
    },
    on_resolve: onResolve,
    execution_timeout_ms: executionTimeoutMs,
    name,
  };
}

function presentMatrix(matrix: string | null): Job["matrix"] {
  if (matrix === null) return null;
  const { job, values } = JSON.parse(matrix) as MatrixModel;
  return { job, values };
}

export function presentExecution(
  execution: ExecutionWithRunner,
  { labels, steps, events }: { labels: string[]; steps: Step[]; events: JobExecution["trigger_events"] },
): JobExecution {
  return {
    id: execution.id,
    job_id: execution.job_id,
    sequence: execution.sequence,
    retry_of: execution.retry_of,
    name: execution.name,
    status: execution.status as JobExecution["status"],
    status_reason: execution.status_reason,
    status_reason_message: execution.status_reason_message,
    ...failureOfExecution(execution, steps),
    runner: execution.labels === null ? labels : JSON.parse(execution.labels),
    runner_id: execution.runner_id,
    runner_name: execution.runner_name,
    trigger_events: events,
    outputs: jsonOrNull(execution.outputs),
    evaluation_trace: null,
    queued_at: isoOrNull(execution.queued_at),
    started_at: isoOrNull(execution.started_at),
    finished_at: isoOrNull(execution.finished_at),
    timed_out_at: isoOrNull(execution.timed_out_at),
    created_at: iso(execution.created_at),
    updated_at: iso(execution.updated_at),
    steps,
  };
}

export function presentStep(step: StepRow, attempts: StepAttempt[]): Step {
  const latestFinished = attempts.findLast((attempt) => attempt.finished_at !== null);
  const status = step.status as Step["status"];
  const error = jsonOrNull<Step["error"]>(step.error);
  return {
    id: step.id,
    job_execution_id: step.job_execution_id,
    key: step.key,
    name: step.name,
    source_location: jsonOrNull(step.source_location),
    status,
    status_reason: step.status_reason as Step["status_reason"],
    type: step.type as Step["type"],
    config: JSON.parse(step.config),
    evaluation_trace: null,
    error,
    failure_class: failureOfStep({ status, error }),
    position: step.position,
    current_attempt: step.current_attempt,
    created_at: iso(step.created_at),
    updated_at: iso(step.updated_at),
    exit_code: latestFinished?.exit_code ?? null,
    outputs: latestFinished?.outputs ?? null,
    response: null,
    gate_result: latestFinished?.gate_result ?? null,
    attempts,
  };
}

export function presentStepAttempt(attempt: StepAttemptView): StepAttempt {
  const output = jsonOrNull<StepAttempt["output"]>(attempt.output);
  return {
    id: attempt.id,
    step_id: attempt.step_id,
    attempt: attempt.attempt,
    execution_order: attempt.execution_order,
    status: attempt.status,
    exit_code: attempt.exit_code,
    output,
    outputs: jsonOrNull<StepAttempt["outputs"]>(attempt.outputs) ?? output,
    response: null,
    error: jsonOrNull(attempt.error),
    gate_result: jsonOrNull<GateResult>(attempt.gate_result) ?? {
      kind: attempt.finished_at === null ? "not_evaluated" : "none",
    },
    restart_feedback: attempt.restart_feedback,
    started_at: iso(attempt.started_at),
    finished_at: isoOrNull(attempt.finished_at),
  };
}
