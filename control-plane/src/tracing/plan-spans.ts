import type { TracedExecution, TracedJob, TracedRun, TracedStep } from "./read-run.ts";
import { spanIdOf, stepSpanId, traceIdOf } from "./trace-ids.ts";

/** A span as it will be written. Times are milliseconds since the epoch, `end` never before `start`. */
export interface PlannedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** Why it failed, in a word or two; null when it did not. */
  readonly failure: string | null;
}

/** By the conventions of OpenTelemetry for CI/CD, `cicd.pipeline.result`. */
const RESULTS: Readonly<Record<string, string>> = {
  succeeded: "success",
  failed: "failure",
  cancelled: "cancellation",
  skipped: "skip",
};

/**
 * The spans of a run that is over, parents before children: the run, its jobs, those of their executions that a runner had, the
 * attempts of their steps.
 */
export function planSpans({ attempt, jobs, executions, steps }: TracedRun): PlannedSpan[] {
  const traceId = traceIdOf(attempt.id);
  const runEnd = attempt.finished_at;
  const run = spanIdOf("run", attempt.id);
  const ran = executions.filter(({ started_at }) => started_at !== null);
  const executionsOf = Map.groupBy(ran, ({ job_id }) => job_id);
  const stepsOf = Map.groupBy(steps, ({ job_execution_id }) => job_execution_id);
  const spans: PlannedSpan[] = [
    {
      ...base(traceId, run, null, attempt.workflow_name, attempt.status),
      ...times(attempt.created_at, runEnd),
      attributes: {
        "cicd.pipeline.name": attempt.workflow_name,
        "cicd.pipeline.run.id": attempt.run_id,
        ...resultOf("cicd.pipeline.result", attempt.status),
        "shipfox.workspace.id": attempt.workspace_id,
        "shipfox.project.id": attempt.project_id,
        "shipfox.run.name": attempt.name,
        "shipfox.run.number": attempt.number,
        "shipfox.run.attempt": attempt.attempt,
        "shipfox.trigger": `${attempt.trigger_source}.${attempt.trigger_event}`,
      },
    },
  ];
  // What was carried over ran in an earlier trace.
  for (const job of jobs.filter(({ carried_from }) => carried_from === null)) {
    const own = executionsOf.get(job.id) ?? [];
    spans.push(jobSpan(job, own, { traceId, run, runEnd }));
    for (const execution of own) {
      spans.push(executionSpan(execution, { traceId, runEnd }));
      for (const step of stepsOf.get(execution.id) ?? []) spans.push(stepSpan(step, { traceId, runEnd }));
    }
  }
  return spans;
}

function jobSpan(
  job: TracedJob,
  executions: readonly TracedExecution[],
  { traceId, run, runEnd }: { traceId: string; run: string; runEnd: number },
): PlannedSpan {
  // From when it could have run: what it waited for before that is in the spans of the jobs it needs.
  const [first] = executions;
  const start = first ? beginOf(first) : job.updated_at;
  const end = first ? Math.max(...executions.map(({ finished_at }) => finished_at ?? runEnd)) : job.updated_at;
  return {
    ...base(traceId, spanIdOf("job", job.id), run, `job ${job.key}`, job.status, job.status_reason),
    ...times(start, end),
    attributes: {
      "cicd.pipeline.task.name": job.name ?? job.key,
      "cicd.pipeline.task.run.id": job.id,
      ...resultOf("cicd.pipeline.task.run.result", job.status),
      "shipfox.job.key": job.key,
    },
  };
}

function executionSpan(
  execution: TracedExecution,
  { traceId, runEnd }: { traceId: string; runEnd: number },
): PlannedSpan {
  const { id, job_id, sequence, status, status_reason, started_at, runner_id } = execution;
  const start = beginOf(execution);
  return {
    ...base(
      traceId,
      spanIdOf("execution", id),
      spanIdOf("job", job_id),
      `execution ${sequence}`,
      status,
      status_reason,
    ),
    ...times(start, execution.finished_at ?? runEnd),
    attributes: {
      "shipfox.execution.id": id,
      "shipfox.execution.sequence": sequence,
      ...resultOf("shipfox.execution.result", status),
      ...(started_at === null ? {} : { "shipfox.execution.queued_ms": Math.max(0, started_at - start) }),
      ...(runner_id === null ? {} : { "cicd.worker.id": runner_id }),
    },
  };
}

function stepSpan(step: TracedStep, { traceId, runEnd }: { traceId: string; runEnd: number }): PlannedSpan {
  const { job_execution_id, step_id, attempt, status, exit_code, key, name, type } = step;
  return {
    ...base(traceId, stepSpanId(step_id, attempt), spanIdOf("execution", job_execution_id), `step ${name}`, status),
    ...times(step.started_at, step.finished_at ?? runEnd),
    attributes: {
      "shipfox.step.id": step_id,
      "shipfox.step.name": name,
      "shipfox.step.type": type,
      "shipfox.step.attempt": attempt,
      ...resultOf("shipfox.step.result", status),
      ...(key === null ? {} : { "shipfox.step.key": key }),
      ...(exit_code === null ? {} : { "process.exit.code": exit_code }),
    },
  };
}

function base(
  traceId: string,
  spanId: string,
  parentId: string | null,
  name: string,
  status: string,
  reason: string | null = null,
) {
  return { traceId, spanId, parentId, name, failure: status === "failed" ? (reason ?? "failed") : null };
}

function times(start: number, end: number): { start: number; end: number } {
  return { start, end: Math.max(start, end) };
}

function beginOf({ queued_at, created_at }: TracedExecution): number {
  return queued_at ?? created_at;
}

function resultOf(attribute: string, status: string): Record<string, string> {
  const result = RESULTS[status];
  return result === undefined ? {} : { [attribute]: result };
}
