import { z } from "zod";
import { infrastructureCauseSchema } from "../failure.ts";
import { logRecordSchema } from "../log-records.ts";
import { jobStatusSchema, rerunModeSchema, resolutionReasonSchema, runStatusSchema } from "./runs.ts";
import { instanceStateSchema } from "../provisioner.ts";
import { DEFAULT_PAGE, id, MAX_CURSOR_CHARS, MAX_PAGE, nextCursor, timestamp } from "./values.ts";

const terminalRun = runStatusSchema.extract(["succeeded", "failed", "cancelled"]);
const terminalJob = jobStatusSchema.extract(["succeeded", "failed", "cancelled", "skipped"]);
/** `key` is the job's name in the workflow, `sequence` the number of its execution, from 1. */
const execution = { key: z.string(), sequence: z.int().min(1) };
const reason = z.string().nullable();
const cause = infrastructureCauseSchema.optional();
const runner = { runner_id: id };
const labels = z.array(z.string());

/** What each type of event tells, beside where it happened. Nothing else is ever recorded. */
export const RUN_EVENT_PAYLOADS = {
  "run.created": z.object({ status: z.literal("pending"), number: z.int(), name: z.string() }),
  "run.rerun": z
    .object({ status: z.literal("pending"), attempt: z.int().min(2), mode: rerunModeSchema })
    .meta({ description: "A new attempt of the run began" }),
  "run.place_given": z
    .object({ waited_ms: z.int().min(0) })
    .meta({ description: "The run waited for the limit of its workspace and may go on" }),
  "run.started": z.object({ status: z.literal("running") }),
  "run.finished": z.object({ status: terminalRun, force: z.literal(true).optional() }),
  "job.group_waiting": z
    .object({ ...execution, group: z.string() })
    .meta({ description: "Another job of its concurrency group goes; `job.queued` follows when its turn comes" }),
  "job.queued": z.object({
    ...execution,
    retry_of: id.optional().meta({ description: "The execution that this one repeats" }),
  }),
  "job.started": z.object({ ...execution, ...runner }),
  "job.retry_scheduled": z.object({ ...execution, at: timestamp }),
  "job.execution_finished": z
    .object({ ...execution, status: terminalRun, reason, cause })
    .meta({ description: "The execution ended and the job goes on: it is tried again, or it is a listening one" }),
  "job.listening": z
    .object({ key: z.string(), expires_at: timestamp })
    .meta({ description: "A listening job started to wait for events" }),
  "job.event_taken": z
    .object({ key: z.string(), source: z.string(), event: z.string(), delivery_id: z.string().nullable() })
    .meta({ description: "A listening job took an event for an execution" }),
  "job.resolved": z
    .object({ key: z.string(), reason: resolutionReasonSchema })
    .meta({ description: "A listening job waits for no more events" }),
  "job.called": z
    .object({ key: z.string(), workflow: z.string() })
    .meta({ description: "A call started, and with it the workflow that it calls" }),
  "job.finished": z.object({
    ...execution,
    sequence: z
      .int()
      .min(0)
      .meta({ description: "Of the last execution; 0 for a call, and for a listening job that had none" }),
    status: terminalJob,
    reason,
    cause,
  }),
  "step.started": z.object({ name: z.string(), attempt: z.int().min(1) }),
  "step.finished": z.object({
    name: z.string(),
    attempt: z.int().min(1),
    status: terminalJob,
    exit_code: z.int().nullable(),
  }),
  "step.restarted": z
    .object({ name: z.string(), attempt: z.int().min(1), restart_from: z.string() })
    .meta({ description: "The gate of the step sent the job back to the step with this key" }),
  "annotations.changed": z.object({ annotation_count: z.int().min(0) }),
  "lease.late_call": z
    .object({ ...runner, call: z.string(), reason: z.string(), fence: z.int() })
    .meta({ description: "A runner still worked on a job that it had lost" }),
  "runner.registered": z.object({ ...runner, name: z.string(), labels }),
  "runner.labels_changed": z.object({ ...runner, name: z.string(), labels }),
  "runner.healthy": z.object(runner),
  "runner.unhealthy": z.object({ ...runner, reason: z.string() }),
  "runner.drain_requested": z.object(runner),
  "runner.revoked": z.object(runner),
  "runner_instance.state_changed": z
    .object({
      runner_instance_id: id,
      provisioner_id: id,
      template_key: z.string(),
      state: instanceStateSchema,
      reason,
    })
    .meta({ description: "What a provisioner started has come up, gone, or failed" }),
  "webhook.disabled": z.object({ webhook_id: id, reason: z.string() }),
} as const satisfies Record<string, z.ZodObject>;

export type RunEventType = keyof typeof RUN_EVENT_PAYLOADS;
export type RunEventPayloads = { [Type in RunEventType]: z.output<(typeof RUN_EVENT_PAYLOADS)[Type]> };

export const RUN_EVENT_TYPES = Object.keys(RUN_EVENT_PAYLOADS) as [RunEventType, ...RunEventType[]];

/** Where it happened; null for what does not apply. */
const place = {
  workspace_id: id,
  project_id: id.nullable(),
  job_id: id.nullable(),
  job_execution_id: id.nullable(),
  step_id: id.nullable(),
};

function eventSchema<Type extends RunEventType>(type: Type) {
  return z
    .object({
      id: z.int().min(1),
      type: z.literal(type),
      run_id: id.nullable(),
      created_at: timestamp,
      payload: z.object({ ...place, ...RUN_EVENT_PAYLOADS[type].shape }),
    })
    .meta({ id: `RunEvent.${type}` });
}

/** One event as every way of reading shows it. `id` counts the events of the workspace, in the order of their commits, without gaps. */
export const runEventSchema = z
  .discriminatedUnion(
    "type",
    RUN_EVENT_TYPES.map(eventSchema) as [ReturnType<typeof eventSchema>, ...ReturnType<typeof eventSchema>[]],
  )
  .meta({ id: "RunEvent" }) as z.ZodType<unknown> as z.ZodType<ShownRunEvent>;

interface ShownRunEventOf<Type extends RunEventType> {
  readonly id: number;
  readonly type: Type;
  readonly run_id: string | null;
  readonly created_at: string;
  readonly payload: z.output<z.ZodObject<typeof place>> & RunEventPayloads[Type];
}
export type ShownRunEvent = { [Type in RunEventType]: ShownRunEventOf<Type> }[RunEventType];

/** Beside events in the stream of a run with logs: records of a step attempt's log, and the offset behind them. */
export const logEventSchema = z.object({
  id: z.string(),
  type: z.literal("log"),
  run_id: id,
  created_at: timestamp,
  payload: z.object({
    step_id: id,
    attempt: z.int().min(1),
    offset: z.int().min(0),
    records: z.array(logRecordSchema),
  }),
});

/** `job.finished,step.*`: types, and groups of types. */
const types = z
  .string()
  .transform((text) => [...new Set(text.split(",").map((part) => part.trim()))])
  .superRefine((wanted, context) => {
    for (const each of wanted) {
      if (matchingTypes(each).length === 0)
        context.addIssue(`"${each}" is neither a type of event nor a group as job.*`);
    }
  })
  .transform((wanted) => [...new Set(wanted.flatMap(matchingTypes))])
  .meta({
    description: "Types separated by commas; `job.*` stands for all that begin so",
    example: "run.*,job.finished",
  });

function matchingTypes(wanted: string): RunEventType[] {
  if (!wanted.endsWith(".*")) return RUN_EVENT_TYPES.filter((type) => type === wanted);
  return RUN_EVENT_TYPES.filter((type) => type.startsWith(wanted.slice(0, -1)));
}

export const runEventsQuerySchema = z.object({
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
  cursor: z.string().min(1).max(MAX_CURSOR_CHARS).optional(),
  types: types.optional(),
});
export const runEventsReplySchema = z.object({ events: z.array(runEventSchema), next_cursor: nextCursor });

/** With logs it names how far each open log was read. */
const MAX_STREAM_CURSOR_CHARS = 8_192;
const after = z
  .string()
  .max(MAX_STREAM_CURSOR_CHARS)
  .optional()
  .meta({ description: "The id of the last event that was read; the header Last-Event-ID wins over it" });
const streamTicket = z
  .string()
  .max(MAX_CURSOR_CHARS)
  .optional()
  .meta({ description: "From POST /auth/stream-tokens, instead of the header Authorization" });
export const eventStreamQuerySchema = z.object({ after, ticket: streamTicket });
export const runEventStreamQuerySchema = eventStreamQuerySchema.extend({
  logs: z
    .enum(["true", "false"])
    .default("false")
    .transform((value) => value === "true")
    .meta({ description: "`true` adds what the steps print, as events of type `log`" }),
});

const MAX_CHANNEL_CHARS = 64;
const channel = z
  .string()
  .max(MAX_CHANNEL_CHARS)
  .meta({ description: "`workspace:ID`, `run:ID`, or `runners:ID` with the id of a workspace" });

/** What a client sends over `GET /ws`, one JSON object a message; `auth` is its first. */
export const webSocketRequestSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("auth"), ticket: z.string().max(MAX_CURSOR_CHARS) }),
  z.strictObject({ type: z.literal("subscribe"), channel, after: z.int().min(0).optional() }),
  z.strictObject({ type: z.literal("unsubscribe"), channel }),
]);

/** What the server answers. Events themselves are a `RunEvent` with `channel`; a run's last message has the type `end`. */
export const webSocketAnswerSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("authenticated") }),
  z.object({
    type: z.literal("subscribed"),
    channel,
    last_event_id: z.int().min(0).meta({ description: "Behind which event it begins" }),
  }),
  z.object({ type: z.literal("unsubscribed"), channel }),
  z.object({
    type: z.literal("error"),
    channel: channel.optional(),
    code: z.string(),
    message: z.string(),
    details: z.unknown().optional(),
  }),
]);
export type WebSocketAnswer = z.infer<typeof webSocketAnswerSchema>;
