import { z } from "zod";
import { displayName, id, nextCursor, nullableTimestamp, pageQuery, timestamp } from "./values.ts";

const MAX_URL_CHARS = 2048;
/** Longest begin of an answer that is kept, in characters. */
export const MAX_RESPONSE_EXCERPT_CHARS = 1_024;

/** The run events that a webhook can be told of. */
export const webhookEventSchema = z.enum([
  "run.created",
  "run.rerun",
  "run.started",
  "run.finished",
  "job.queued",
  "job.started",
  "job.retry_scheduled",
  "job.execution_finished",
  "job.listening",
  "job.event_taken",
  "job.resolved",
  "job.called",
  "job.finished",
]);

export const webhookSchema = z
  .object({
    id,
    workspace_id: id,
    name: z.string().nullable(),
    url: z.string(),
    events: z.array(webhookEventSchema),
    status: z.enum(["active", "disabled"]),
    disabled_reason: z.string().nullable().meta({ description: "Why it is disabled, for people" }),
    failing_since: nullableTimestamp.meta({ description: "Since when no delivery succeeded" }),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Webhook" });
export type Webhook = z.infer<typeof webhookSchema>;

/** The only answers that hold the secret with which deliveries are signed. */
export const webhookWithSecretSchema = z
  .object({
    ...webhookSchema.shape,
    secret: z.string().optional().meta({ description: "`whsec_…`, shown when it was made, never again" }),
  })
  .meta({ id: "WebhookWithSecret" });

const url = z.string().trim().min(1).max(MAX_URL_CHARS);
const events = z
  .array(webhookEventSchema)
  .min(1)
  .max(webhookEventSchema.options.length)
  .transform((given) => [...new Set(given)]);

export const createWebhookBodySchema = z.strictObject({ url, events, name: displayName.optional() });
export const updateWebhookBodySchema = z
  .strictObject({
    url: url.optional(),
    events: events.optional(),
    name: displayName.nullable().optional(),
    status: z.enum(["active", "disabled"]).optional(),
    rotate_secret: z
      .literal(true)
      .optional()
      .meta({ description: "Makes a new secret; deliveries are signed with both for 24 hours" }),
  })
  .refine((body) => Object.keys(body).length > 0, "names nothing to change");
export const webhooksReplySchema = z.object({ webhooks: z.array(webhookSchema) });

export const deliveryStatusSchema = z.enum(["pending", "succeeded", "failed"]);
export const webhookDeliverySchema = z
  .object({
    id,
    webhook_id: id,
    event_id: z.int().nullable().meta({ description: "The run event's number; null for a test" }),
    event_type: z.string(),
    status: deliveryStatusSchema,
    attempts: z.int().min(0),
    next_attempt_at: nullableTimestamp,
    last_attempt_at: nullableTimestamp,
    response_status: z.int().nullable().meta({ description: "HTTP status of the last answer" }),
    response_excerpt: z
      .string()
      .max(MAX_RESPONSE_EXCERPT_CHARS)
      .nullable()
      .meta({ description: "Begin of the last answer; null from receivers that are not on the public internet" }),
    duration_ms: z.int().min(0).nullable().meta({ description: "Of the last attempt" }),
    error: z.string().nullable().meta({ description: "Why the last attempt failed" }),
    created_at: timestamp,
    finished_at: nullableTimestamp,
  })
  .meta({ id: "WebhookDelivery" });
export type WebhookDelivery = z.infer<typeof webhookDeliverySchema>;

export const deliveriesQuerySchema = z.object({ status: deliveryStatusSchema.optional(), ...pageQuery });
export const deliveriesReplySchema = z.object({
  deliveries: z.array(webhookDeliverySchema),
  next_cursor: nextCursor,
});
