import { z } from "zod";
import { id, timestamp } from "./values.ts";

const MAX_NAME_CHARS = 100;
const MAX_SLUG_CHARS = 100;
const MAX_SECRET_CHARS = 100;
/** Longest name of a delivery. Source: the published API. */
export const MAX_DELIVERY_ID_CHARS = 200;
/** Sources of triggers that are no connection. */
export const OWN_SOURCES: readonly string[] = ["manual", "cron", "workflow"];
/** Words that mean another source in a workflow. */
const RESERVED_SLUGS = new Set(["github", "gitea", "sentry", ...OWN_SOURCES]);

export const webhookConnectionSchema = z
  .object({
    id,
    workspace_id: id,
    name: z.string(),
    slug: z.string().meta({ description: "The `source` of its events in workflows" }),
    lifecycle_status: z.enum(["active", "disabled", "error"]),
    inbound_url: z
      .string()
      .meta({ description: "Where senders post to. Whoever knows it may send, so keep it secret" }),
    signed: z.boolean().meta({ description: "Calls must bear a signature of the secret" }),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "WebhookConnection" });
export type WebhookConnection = z.infer<typeof webhookConnectionSchema>;

const secret = z
  .string()
  .max(MAX_SECRET_CHARS)
  .meta({ description: "`whsec_` and 24 to 64 random bytes in base64; never shown again" });

export const createWebhookConnectionBodySchema = z.strictObject({
  workspace_id: id,
  name: z.string().trim().min(1).max(MAX_NAME_CHARS),
  slug: z
    .string()
    .min(1)
    .max(MAX_SLUG_CHARS)
    .regex(/^[a-z0-9]+(?:[_-][a-z0-9]+)*$/, "must be lower-case words joined by dashes or underscores")
    .refine((value) => !RESERVED_SLUGS.has(value), "is reserved; choose another word"),
  secret: secret.optional(),
});

export const updateWebhookConnectionBodySchema = z
  .strictObject({
    lifecycle_status: z.enum(["active", "disabled"]).optional(),
    secret: secret
      .nullable()
      .optional()
      .meta({ description: "A new one counts beside the old one for 24 hours; null takes unsigned calls" }),
  })
  .refine((body) => Object.keys(body).length > 0, "names nothing to change");

export const webhookConnectionsQuerySchema = z.object({ workspace_id: id });
export const webhookConnectionsReplySchema = z.object({ connections: z.array(webhookConnectionSchema) });

export const webhookCallReplySchema = z.object({ delivery_id: z.string().max(MAX_DELIVERY_ID_CHARS) });
