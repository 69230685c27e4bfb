import { z } from "zod";
import { failureClassSchema, infrastructureCauseSchema } from "../failure.ts";
import { id, nextCursor, nullableTimestamp, pageQuery, timestamp } from "./values.ts";

export const runStatusSchema = z.enum(["pending", "running", "succeeded", "failed", "cancelled"]);
export const jobStatusSchema = z.enum(["pending", "running", "succeeded", "failed", "cancelled", "skipped"]);
export const stepAttemptStatusSchema = z.enum(["running", "succeeded", "failed", "cancelled"]);
export const stepTypeSchema = z.enum(["setup", "run", "agent", "checkout"]);

export type RunStatus = z.infer<typeof runStatusSchema>;
export type JobStatus = z.infer<typeof jobStatusSchema>;
export type ExecutionStatus = z.infer<typeof runStatusSchema>;
export type StepStatus = z.infer<typeof jobStatusSchema>;
export type StepType = z.infer<typeof stepTypeSchema>;

export const TERMINAL_STATUSES: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled", "skipped"]);

export const stepErrorReasonSchema = z.enum([
  "checkout_failed",
  "checkout_auth_failed",
  "checkout_unavailable",
  "checkout_path_invalid",
  "checkout_destination_occupied",
  "git_unavailable",
  "workspace_prep_failed",
  "setup_aborted",
  "config_unresolvable",
  "output_invalid",
  "agent_config_invalid",
  "agent_invocation_failed",
  "agent_harness_unavailable",
  "timed_out",
  "sandbox_unavailable",
  "image_unavailable",
  "disk_limit",
  "service_failed",
  "artifact_failed",
]);

export const MAX_ERROR_MESSAGE_CHARS = 2048;
export const stepErrorSchema = z
  .object({
    message: z.string().max(MAX_ERROR_MESSAGE_CHARS),
    code: z.string().optional(),
    exit_code: z.int().nullable().optional(),
    signal: z.string().optional(),
    reason: stepErrorReasonSchema.optional(),
    field: z.string().optional(),
    source: z.string().optional(),
    category: z.enum(["setup", "user"]).optional(),
  })
  .meta({ id: "StepError" });
export type StepError = z.infer<typeof stepErrorSchema>;

export const gateResultSchema = z.object({
  kind: z.enum(["none", "not_evaluated", "passed", "failed", "uncheckable", "evaluation_error"]),
  /** The success condition. */
  source: z.string().nullable().optional(),
  exit_code: z.int().nullable().optional(),
  /** `gate_failed`, `restart_exhausted`, or in words why there was no verdict. */
  reason: z.string().nullable().optional(),
});
export type GateResult = z.infer<typeof gateResultSchema>;
export const sourceLocationSchema = z
  .object({
    start_line: z.int(),
    end_line: z.int(),
    path: z.string().optional().meta({ description: "Of a called workflow file; absent for the run's own" }),
  })
  .nullable();

/** Why a job has not started, or for what a job waits that listens; computed when it is read. */
export const waitingReasonSchema = z.enum([
  "needs",
  "hold",
  "no_runner_registered",
  "no_runner_online",
  "labels_unmatched",
  "capability_missing",
  "runners_unhealthy",
  "all_runners_busy",
  "workspace_limit",
  "matrix_limit",
  "concurrency_group",
  "fair_share",
  "retry_backoff",
  "listening",
  "starting",
  "no_template",
  "template_at_cap",
  "provider_error",
  "circuit_open",
]);
export const waitingSchema = z
  .object({
    reason: waitingReasonSchema,
    since: timestamp,
    message: z.string(),
    labels: z.array(z.string()),
    runners: z.object({ matching: z.int(), online: z.int(), busy: z.int() }),
    missing_labels: z.array(z.string()).optional(),
    concurrency: z
      .object({
        group: z.string(),
        held_by: z
          .object({ run_id: id, run_number: z.int(), workflow_name: z.string(), job_key: z.string() })
          .nullable()
          .meta({ description: "Who has the place; null when nobody does any more" }),
      })
      .optional(),
    next_try_at: timestamp.optional(),
  })
  .meta({ id: "Waiting" });
export type Waiting = z.infer<typeof waitingSchema>;

export const stepAttemptSchema = z
  .object({
    id,
    step_id: id,
    attempt: z.int(),
    execution_order: z.int(),
    status: stepAttemptStatusSchema,
    exit_code: z.int().nullable(),
    output: z.record(z.string(), z.json()).nullable(),
    outputs: z.record(z.string(), z.json()).nullable(),
    response: z.string().nullable(),
    error: z.record(z.string(), z.json()).nullable(),
    gate_result: gateResultSchema.nullable(),
    restart_feedback: z.string().nullable(),
    started_at: timestamp,
    finished_at: nullableTimestamp,
  })
  .meta({ id: "StepAttempt" });

/** ours: whose fault a failure was, and what went wrong when it was not the user's; null unless it failed. */
const failureFields = {
  failure_class: failureClassSchema.nullable(),
  failure_cause: infrastructureCauseSchema.nullable(),
};

export const stepSchema = z
  .object({
    id,
    job_execution_id: id,
    key: z.string().nullable(),
    name: z.string(),
    source_location: sourceLocationSchema,
    status: jobStatusSchema,
    status_reason: z.enum(["default_gate_rejected", "condition_rejected", "condition_errored"]).nullable(),
    type: stepTypeSchema,
    config: z.record(z.string(), z.json()),
    evaluation_trace: z.null(),
    error: stepErrorSchema.nullable(),
    /** ours: whose fault a failed step was. */
    failure_class: failureClassSchema.nullable(),
    position: z.int(),
    current_attempt: z.int(),
    created_at: timestamp,
    updated_at: timestamp,
    exit_code: z.int().nullable(),
    outputs: z.record(z.string(), z.json()).nullable(),
    response: z.string().nullable(),
    gate_result: gateResultSchema.nullable(),
    attempts: z.array(stepAttemptSchema),
  })
  .meta({ id: "Step" });

/** An event that a listening job gave to an execution. */
const deliveredEventSchema = z
  .object({
    source: z.string(),
    event: z.string(),
    delivery_id: z.string().nullable(),
    received_at: timestamp,
    project: z.object({ id }).nullable().meta({ description: "Of the repository that it is about" }),
    repository: z.string().nullable(),
    ref: z.string().nullable(),
    commit: z.string().nullable(),
    data: z.json().meta({ description: "The payload; null where a run has too much of it to be shown at once" }),
  })
  .meta({ id: "DeliveredEvent" });

export const jobExecutionSchema = z
  .object({
    id,
    job_id: id,
    sequence: z.int(),
    retry_of: id.nullable(),
    name: z.string(),
    status: runStatusSchema,
    status_reason: z.string().nullable(),
    status_reason_message: z.string().nullable(),
    ...failureFields,
    runner: z.array(z.string()).nullable(),
    runner_id: id.nullable(),
    runner_name: z.string().nullable(),
    trigger_events: z
      .array(deliveredEventSchema)
      .meta({ description: "What a listening job gave to it, in the order in which it was received; else empty" }),
    outputs: z.record(z.string(), z.json()).nullable(),
    evaluation_trace: z.null(),
    queued_at: nullableTimestamp,
    started_at: nullableTimestamp,
    finished_at: nullableTimestamp,
    timed_out_at: nullableTimestamp,
    created_at: timestamp,
    updated_at: timestamp,
    steps: z.array(stepSchema),
  })
  .meta({ id: "JobExecution" });

export const jobStatusReasonSchema = z.enum([
  "dependency_not_completed",
  "condition_false",
  "default_gate_rejected",
  "condition_rejected",
  "condition_errored",
  "user_cancelled",
  "run_cancelled",
  "matrix_failed",
  "replaced",
  "call_failed",
  "timed_out",
  "runner_lost",
  "output_too_large",
  "step_failed",
  "unknown",
  "output_invalid",
]);
export type JobStatusReason = z.infer<typeof jobStatusReasonSchema>;

const jobModeSchema = z.enum(["one_shot", "listening"]);
const listenerStatusSchema = z.enum(["inactive", "listening", "resolved"]);
export const resolutionReasonSchema = z.enum(["until", "timeout", "max_executions", "cancelled"]);
const listenedTriggerSchema = z.object({
  source: z.string(),
  event: z.string(),
  inputs: z.record(z.string(), z.json()).optional(),
  filter: z.string().optional(),
});
const listeningSchema = z
  .object({
    on: z.array(listenedTriggerSchema),
    until: z.array(listenedTriggerSchema).nullable(),
    timeout_ms: z.int().nullable(),
    max_executions: z.int().nullable(),
    batch: z
      .object({
        debounce_ms: z.int().optional(),
        max_size: z.int().optional(),
        max_wait_ms: z.int().optional(),
      })
      .nullable(),
    on_resolve: z.enum(["finish", "cancel"]),
    execution_timeout_ms: z.int().nullable(),
    name: z.string().nullable(),
  })
  .meta({ id: "Listening" });
export type Listening = z.infer<typeof listeningSchema>;

export const jobSchema = z
  .object({
    id,
    run_attempt_id: id,
    key: z.string(),
    name: z.string().nullable(),
    matrix: z
      .object({
        job: z.string(),
        values: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).nullable()),
      })
      .nullable()
      .meta({ description: "Of one of the jobs that a job with a matrix becomes: that job's key, and its own values" }),
    call: z
      .object({ workflow: z.string(), inputs: z.record(z.string(), z.json()).nullable() })
      .nullable()
      .meta({
        description: "Of a job that calls a workflow: that file, and what it is given once the call has started",
      }),
    within: z.string().nullable().meta({ description: "The key of the call that the job is part of" }),
    mode: jobModeSchema,
    status: jobStatusSchema,
    status_reason: jobStatusReasonSchema.nullable(),
    /** ours: in words, where the reason alone says too little. */
    status_reason_message: z.string().nullable(),
    ...failureFields,
    carried_over: z.boolean(),
    /** The success condition as it was written. */
    success: z.string().nullable(),
    runner: z.array(z.string()).nullable(),
    concurrency_group: z.string().nullable().meta({
      description: "ours: the group of which one job goes at a time; null without one, and before the job's turn",
    }),
    evaluation_trace: z.null(),
    listening: listeningSchema
      .nullable()
      .meta({ description: "What a listening job was written as; null for any other" }),
    listener_status: listenerStatusSchema,
    resolution_reason: resolutionReasonSchema.nullable(),
    outputs: z.record(z.string(), z.json()).nullable(),
    dependencies: z.array(z.string()),
    position: z.int(),
    waiting: waitingSchema.nullable(),
    created_at: timestamp,
    updated_at: timestamp,
    job_executions: z
      .array(jobExecutionSchema)
      .meta({ description: "Oldest first; of a listening job the newest 100" }),
  })
  .meta({ id: "Job" });

/** What of a repository an event is about, as far as it says. */
export const triggerReferenceSchema = z.object({
  repository: z.string().nullable().meta({ description: "owner/name" }),
  ref: z.string().nullable().meta({ description: "refs/heads/main, refs/pull/7/head, …" }),
  commit: z.string().nullable(),
  actor: z.string().nullable().meta({ description: "Who caused it, as the provider names them" }),
});
export type TriggerReference = z.infer<typeof triggerReferenceSchema>;

const runFields = {
  id,
  project_id: id,
  definition_id: id,
  number: z.int(),
  name: z.string(),
  workflow_name: z.string(),
  status: runStatusSchema,
  current_attempt: z.int(),
  latest_attempt: z.int(),
  trigger_provider: z.string().nullable(),
  trigger_source: z.string(),
  trigger_event: z.string(),
  trigger_payload: z.record(z.string(), z.json()),
  trigger_reference: triggerReferenceSchema.nullable(),
  inputs: z.record(z.string(), z.json()).nullable(),
  source_snapshot: z
    .object({
      content: z.string(),
      format: z.literal("yaml"),
      called: z
        .array(z.object({ path: z.string(), content: z.string() }))
        .optional()
        .meta({ description: "The workflow files that it calls, as they were; absent without any" }),
    })
    .nullable(),
  created_at: timestamp,
  updated_at: timestamp,
  started_at: nullableTimestamp,
  finished_at: nullableTimestamp,
};
export const runSchema = z.object(runFields).meta({ id: "Run" });

/** Which jobs a rerun runs again: all, or those that did not succeed. */
export const rerunModeSchema = z.enum(["all", "failed"]);

export const runAttemptSchema = z
  .object({
    id,
    workflow_run_id: id,
    attempt: z.int(),
    status: runStatusSchema,
    created_at: timestamp,
    started_at: nullableTimestamp,
    finished_at: nullableTimestamp,
    rerun_mode: rerunModeSchema.nullable(),
  })
  .meta({ id: "RunAttempt" });

export const runDetailSchema = z
  .object({
    ...runFields,
    run_attempt: runAttemptSchema,
    has_started_job_execution: z.boolean(),
    jobs: z.array(jobSchema),
  })
  .meta({ id: "RunDetail" });

/** A list row carries its first 16 jobs in graph order. */
export const MAX_LISTED_JOBS = 16;
export const runListItemSchema = z
  .object({
    ...runFields,
    jobs: z.array(
      z.object({
        id,
        key: z.string(),
        name: z.string().nullable(),
        status: jobStatusSchema,
        mode: jobModeSchema,
        listener_status: listenerStatusSchema,
        execution_status: runStatusSchema.nullable(),
        position: z.int(),
        waiting: waitingSchema.nullable(),
      }),
    ),
    job_status_counts: z.array(z.object({ status: jobStatusSchema, count: z.int() })),
    job_display_status_counts: z.array(z.object({ status: z.string(), count: z.int() })),
    has_started_job_execution: z.boolean(),
  })
  .meta({ id: "RunListItem" });

export const runAttemptsReplySchema = z.object({ attempts: z.array(runAttemptSchema) });

/** What a step was written as and what became of it when it was handed out, for one attempt. */
export const stepAttemptDetailSchema = z
  .object({
    step_id: id,
    attempt: z.int(),
    authored_config: z
      .record(z.string(), z.json())
      .nullable()
      .meta({ description: "The step as the workflow file has it; null for steps that the file does not name" }),
    config: z
      .record(z.string(), z.json())
      .nullable()
      .meta({ description: "The step as it goes to the runner: variables filled in, secrets by their names" }),
    evaluation_trace: z.null(),
    workflow_run_id: id,
    job_execution_id: id,
    step_attempt: stepAttemptSchema.nullable().meta({ description: "Null while the step has not started" }),
  })
  .meta({ id: "StepAttemptDetail" });

const MAX_WINDOW_MS = 365 * 24 * 3_600_000;
const instant = z.iso.datetime({ offset: true }).transform((value) => Date.parse(value));
const runFilters = {
  project_id: id,
  status: runStatusSchema.optional(),
  definition_id: id.optional(),
  trigger_source: z.string().min(1).max(100).optional(),
  created_from: instant.optional(),
  created_to: instant.optional(),
};

interface Window {
  created_from?: number | undefined;
  created_to?: number | undefined;
}
const isInOrder = ({ created_from: from, created_to: to }: Window) =>
  from === undefined || to === undefined || from <= to;
const isShort = ({ created_from: from, created_to: to }: Window) =>
  from === undefined || to === undefined || to - from <= MAX_WINDOW_MS;
const ORDER_FAULT = { path: ["created_from"], message: "must not be after created_to" };
const LENGTH_FAULT = { path: ["created_to"], message: "must be at most 365 days after created_from" };

export const runsQuerySchema = z
  .object({ ...runFilters, ...pageQuery })
  .refine(isInOrder, ORDER_FAULT)
  .refine(isShort, LENGTH_FAULT);
export const runAggregatesQuerySchema = z
  .object(runFilters)
  .refine(isInOrder, ORDER_FAULT)
  .refine(isShort, LENGTH_FAULT);

/** Values of a facet that the aggregates list, those with the most runs first. */
export const MAX_FACET_VALUES = 100;
function facet<Value extends z.ZodType>(value: Value) {
  return z
    .array(z.object({ value, count: z.int() }))
    .meta({ description: "Most runs first; each facet ignores its own filter" });
}
export const runAggregatesReplySchema = z
  .object({ status: facet(runStatusSchema), trigger_source: facet(z.string()), workflow: facet(id) })
  .meta({ id: "RunAggregates" });
export const runsReplySchema = z.object({
  runs: z.array(runListItemSchema),
  next_cursor: nextCursor,
  filtered_total_count: z.int().optional(),
});
/** `force` gives the runners no grace: their leases end at once, also those of a run that is already being cancelled. */
export const cancelRunBodySchema = z.object({ force: z.boolean().default(false) });
export const rerunBodySchema = z.object({
  mode: rerunModeSchema.meta({
    description: "`failed` keeps the jobs that succeeded and runs all others again; `all` runs every job again",
  }),
});
export const runQuerySchema = z.object({ attempt: z.coerce.number().int().min(1).optional() });

export type RerunMode = z.infer<typeof rerunModeSchema>;
export type Run = z.infer<typeof runSchema>;
export type RunAttempt = z.infer<typeof runAttemptSchema>;
export type RunAggregates = z.infer<typeof runAggregatesReplySchema>;
export type StepAttemptDetail = z.infer<typeof stepAttemptDetailSchema>;
export type RunDetail = z.infer<typeof runDetailSchema>;
export type RunListItem = z.infer<typeof runListItemSchema>;
export type Job = z.infer<typeof jobSchema>;
export type JobExecution = z.infer<typeof jobExecutionSchema>;
export type Step = z.infer<typeof stepSchema>;
export type StepAttempt = z.infer<typeof stepAttemptSchema>;
