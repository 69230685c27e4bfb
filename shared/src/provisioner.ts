import { z } from "zod";
import { id, labels, timestamp } from "./api/values.ts";

/** The provisioner's side of the wire. Times are RFC 3339, durations whole seconds. */

export const MAX_DEMAND_WAIT_SECONDS = 30;
export const MAX_RESERVATIONS = 1_000;
export const MAX_TEMPLATES = 1_000;
export const MAX_INSTANCES_PER_BATCH = 500;
export const MAX_REPORTED_EVENTS = 1_000;
export const MAX_OBSERVED_INSTANCES = 5_000;
export const MAX_CONSOLE_TAIL_CHARS = 16_384;
/** Tells two daemons with one token apart: any text that no other daemon has, and where it runs. */
export const HOLDER_HEADER = "shipfox-provisioner-holder";
export const HOLDER_PATTERN = /^([A-Za-z0-9_-]{8,64}) ([\x21-\x7e]{1,255})$/;
const DEFAULT_RESERVATION_SECONDS = 60;
const MAX_RESERVATION_SECONDS = 600;
const DEFAULT_BOOT_SECONDS = 600;
const MAX_BOOT_SECONDS = 3_600;
const MAX_SLOTS = 100_000;
const MAX_KEY_CHARS = 255;
const MAX_REASON_CHARS = 500;

/** Capabilities that a job can require and a template can offer. */
export const templateCapabilitySchema = z.enum(["image", "services", "network", "files"]);
const capabilities = z.array(templateCapabilitySchema).max(templateCapabilitySchema.options.length);
const templateKey = z.string().min(1).max(MAX_KEY_CHARS);
const slots = z.int().min(0).max(MAX_SLOTS);

export const provisionerReplySchema = z.object({
  id: id.meta({ description: "Of the provisioner token" }),
  scope: z.literal("workspace"),
  workspace_id: id,
  name: z.string().nullable(),
});

export const advertisedTemplateSchema = z.strictObject({
  template_key: templateKey,
  labels,
  capabilities: capabilities.default([]),
  available_slots: slots.meta({ description: "Instances that it could start now" }),
  starting: slots,
  running: slots,
  fault: z
    .strictObject({
      kind: z.enum(["provider_error", "circuit_open"]),
      message: z.string().min(1).max(MAX_REASON_CHARS),
      next_try_at: timestamp.optional(),
    })
    .optional()
    .meta({ description: "What keeps it from starting instances" }),
});
export type AdvertisedTemplate = z.infer<typeof advertisedTemplateSchema>;

export const demandBodySchema = z.object({
  wait_seconds: z.int().min(0).max(MAX_DEMAND_WAIT_SECONDS).default(0),
  reservation_ttl_seconds: z.int().min(1).max(MAX_RESERVATION_SECONDS).default(DEFAULT_RESERVATION_SECONDS),
  max_reservations: z.int().min(0).max(MAX_RESERVATIONS).meta({ description: "Most instances to reserve now" }),
  templates: z.array(advertisedTemplateSchema).max(MAX_TEMPLATES),
});

export const terminateReasonSchema = z.enum([
  "boot_timeout",
  "finished",
  "session_ended",
  "drained",
  "terminated_by_user",
]);
export type TerminateReason = z.infer<typeof terminateReasonSchema>;

export const MAX_UNMATCHED = 50;
const demandSchema = z.object({
  labels: z.array(z.string()),
  capabilities: z.array(z.string()),
  queued: z.int().meta({ description: "Jobs that could start now" }),
  covered: z.int().meta({ description: "Of them those for which a runner is idle, starting or reserved" }),
});
export type JobDemand = z.infer<typeof demandSchema>;

export const demandReplySchema = z.object({
  stats: z.array(demandSchema).meta({ description: "Of the label sets that an advertised template satisfies" }),
  unmatched: z
    .array(demandSchema)
    .default([])
    .meta({ description: `Of the label sets that no advertised template satisfies; at most ${MAX_UNMATCHED}` }),
  reservations: z.array(
    z.object({
      reservation_id: id,
      labels: z.array(z.string()),
      capabilities: z.array(z.string()),
      count: z.int().min(1),
      expires_at: timestamp,
    }),
  ),
  terminate: z
    .array(
      z.object({
        runner_instance_id: id,
        provider_runner_id: z.string().nullable(),
        reason: terminateReasonSchema,
      }),
    )
    .meta({ description: "Instances that have nothing more to do; a busy one is never among them" }),
});
export type DemandReply = z.infer<typeof demandReplySchema>;

export const instanceBatchBodySchema = z.strictObject({
  provider_kind: z.string().min(1).max(64).optional(),
  boot_deadline_seconds: z.int().min(1).max(MAX_BOOT_SECONDS).default(DEFAULT_BOOT_SECONDS),
  runner_instances: z
    .array(
      z.strictObject({
        template_key: templateKey,
        reservation_id: id.optional().meta({ description: "Absent: an instance for the idle pool" }),
      }),
    )
    .min(1)
    .max(MAX_INSTANCES_PER_BATCH),
});
export const instanceBatchReplySchema = z.object({
  runner_instances: z.array(
    z.object({
      runner_instance_id: id,
      registration_token: z.string().meta({ description: "sf_ert_…, good once, for this instance alone" }),
      expires_at: timestamp,
      request_index: z.int().min(0),
    }),
  ),
  reservation_unavailable: z
    .literal(true)
    .optional()
    .meta({ description: "Some reservation had expired or was used up; nothing was made for it" }),
});

export const reportedStateSchema = z.enum(["starting", "running", "stopping", "stopped", "failed", "terminated"]);
export type ReportedState = z.infer<typeof reportedStateSchema>;
export const instanceStateSchema = z.enum(["planned", ...reportedStateSchema.options]);
export type InstanceState = z.infer<typeof instanceStateSchema>;

export const instanceReportBodySchema = z.object({
  events: z
    .array(
      z.strictObject({
        runner_instance_id: id,
        provider_runner_id: z.string().min(1).max(MAX_KEY_CHARS).optional(),
        state: reportedStateSchema,
        reason: z.string().min(1).max(MAX_REASON_CHARS).optional(),
        console_tail: z
          .string()
          .max(MAX_CONSOLE_TAIL_CHARS)
          .optional()
          .meta({ description: "The last of its console" }),
      }),
    )
    .min(1)
    .max(MAX_REPORTED_EVENTS),
});
export const instanceReportReplySchema = z.object({
  accepted: z.int().meta({ description: "Events that changed something" }),
  unknown_runner_instance_ids: z.array(id).meta({ description: "Of no instance of this provisioner" }),
});

export const reconcileBodySchema = z.strictObject({
  observed_runner_instance_ids: z
    .array(id)
    .max(MAX_OBSERVED_INSTANCES)
    .meta({ description: "All that the provider has; only after its list was read whole" }),
  confirmed_empty: z
    .boolean()
    .default(false)
    .meta({ description: "The list was empty several times in a row; without it an empty list ends nothing" }),
});
export const reconcileReplySchema = z.object({
  runners: z.array(
    z.object({
      runner_instance_id: id,
      provider_runner_id: z.string().nullable(),
      template_key: z.string(),
      state: instanceStateSchema,
      registered: z.boolean().meta({ description: "Its runner has reached the control plane" }),
      claimed: z.boolean().meta({ description: "It has been given its job" }),
      bound_job: z.object({ job_id: id, workflow_run_attempt_id: id }).nullable(),
      lost_job: z
        .boolean()
        .default(false)
        .meta({ description: "Its job was handed back, or its runner was not heard from any more: it runs elsewhere" }),
      desired_intent: z.enum(["keep", "terminate"]),
    }),
  ),
  unknown_runner_instance_ids: z.array(id).meta({ description: "Observed, but of no record: leave them alone" }),
  terminated_absent_runner_instance_ids: z.array(id),
});

export const drainInstancesBodySchema = z.strictObject({
  runner_instance_ids: z.array(id).min(1).max(MAX_REPORTED_EVENTS),
});
export const drainInstancesReplySchema = z.object({
  drained: z.array(id).meta({ description: "They get no job any more and can be removed" }),
  busy: z.array(id).meta({ description: "They have been given a job; nothing was changed" }),
  unknown: z.array(id),
});
