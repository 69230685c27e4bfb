import { z } from "zod";
import { id, nextCursor, nullableTimestamp, pageQuery, timestamp } from "./values.ts";

const MAX_FILTER_VALUES = 50;
const MAX_FILTER_CHARS = 200;
const MAX_HASH_CHARS = 64;
/** Most values that each facet lists. */
export const MAX_FACET_VALUES = 50;

export const triggerOutcomeSchema = z.enum(["received", "routed", "discarded", "failed", "errored"]).meta({
  description:
    "received: stored, not yet evaluated; routed: it started something; discarded: nothing matched; failed: is tried again; errored: a filter or a start failed for good",
});

export const approvalStatusSchema = z.enum(["waiting", "approved", "superseded"]).meta({
  description: "waiting: it starts nothing until somebody approves it; superseded: what it is about has a newer commit",
});
const commitSchema = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/, "expected the full id of a commit");

const triggerEventFields = {
  id,
  event_ref: z.string().meta({ description: "What makes a repeated delivery the same event" }),
  origin: z.enum(["integration", "manual", "cron", "workflow"]),
  workspace_id: id,
  provider: z.string().nullable(),
  source: z.string().meta({ description: "The slug of the connection, `manual`, `cron` or `workflow`" }),
  event: z.string(),
  delivery_id: z.string().nullable(),
  connection_id: id.nullable(),
  untrusted: z.boolean().meta({ description: "Somebody without rights to the repository may have made it" }),
  pass: z.int().min(1).meta({ description: "How often it was routed; each replay adds one" }),
  approval: z
    .object({
      status: approvalStatusSchema,
      commit: z.string().nullable().meta({ description: "The only one that its runs check out" }),
      workflows_hash: z
        .string()
        .nullable()
        .meta({ description: "Changes with each change of a workflow that it would start; null when it never waited" }),
      approved_by: id.nullable(),
      approved_at: nullableTimestamp,
    })
    .nullable()
    .meta({ description: "Null for an event that needs no approval, or that nothing wants" }),
  outcome: triggerOutcomeSchema,
  matched_count: z.int().min(0).meta({ description: "Triggers and listeners that it engaged in its last pass" }),
  received_at: timestamp,
  processed_at: nullableTimestamp,
  created_at: timestamp,
};

export const triggerEventSchema = z.object(triggerEventFields).meta({ id: "TriggerEvent" });
export type TriggerEvent = z.infer<typeof triggerEventSchema>;

/** What one subscription made of an event. */
export const triggerDecisionSchema = z
  .object({
    id,
    received_event_id: id,
    pass: z.int().min(1).meta({ description: "Of the event, from 1" }),
    subscription_kind: z.enum(["trigger", "listener"]),
    subscription_id: id,
    subscription_name: z.string(),
    workflow_definition_id: id.nullable(),
    project_id: id.nullable(),
    workflow_run_id: id.nullable(),
    job_id: id.nullable(),
    matcher_kind: z.enum(["on", "until"]).nullable(),
    matcher_ordinal: z.int().nullable(),
    decision: z.enum(["triggered", "filter-error", "dispatch-error"]),
    run_id: id.nullable(),
    run_name: z.string().nullable(),
    reason: z.string().nullable(),
    created_at: timestamp,
  })
  .meta({ id: "TriggerDecision" });

export const triggerEventDetailSchema = z
  .object({
    ...triggerEventFields,
    connection_name: z.string().nullable(),
    payload: z.record(z.string(), z.unknown()).nullable(),
    decisions: z.array(triggerDecisionSchema),
  })
  .meta({ id: "TriggerEventDetail" });
export type TriggerEventDetail = z.infer<typeof triggerEventDetailSchema>;

/** Several values of one filter: the key repeated, or a list with commas, or both. */
function anyOf<Schema extends z.ZodType<string, string>>(value: Schema) {
  return z
    .union([z.string(), z.array(z.string())])
    .transform((given) => [...new Set([given].flat().flatMap((text) => text.split(",")))])
    .pipe(z.array(value).min(1).max(MAX_FILTER_VALUES));
}

const word = z.string().trim().min(1).max(MAX_FILTER_CHARS);
const instant = z.iso.datetime({ offset: true }).transform((value) => Date.parse(value));

export const triggerEventsQuerySchema = z
  .object({
    workspace_id: id,
    source: anyOf(word).optional(),
    event: anyOf(word).optional(),
    outcome: anyOf(triggerOutcomeSchema).optional(),
    approval: anyOf(approvalStatusSchema).optional(),
    from: instant.optional(),
    to: instant.optional(),
    ...pageQuery,
  })
  .refine(({ from, to }) => from === undefined || to === undefined || from <= to, {
    path: ["from"],
    message: "must not be after to",
  });
export type TriggerEventsQuery = z.output<typeof triggerEventsQuerySchema>;
export const triggerEventsReplySchema = z.object({
  trigger_events: z.array(triggerEventSchema),
  next_cursor: nextCursor,
});

export const triggerFacetsQuerySchema = z.object({ workspace_id: id });
const facet = z.array(z.object({ value: z.string(), count: z.int().min(1) })).max(MAX_FACET_VALUES);
export const triggerFacetsReplySchema = z.object({ sources: facet, events: facet });

/** What the approver has seen; both must still be so. */
export const approveTriggerEventBodySchema = z.strictObject({
  commit: commitSchema.nullable().meta({ description: "`approval.commit` of the event" }),
  workflows_hash: z.string().min(1).max(MAX_HASH_CHARS).meta({ description: "`approval.workflows_hash` of the event" }),
});
