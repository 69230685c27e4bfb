import { z } from "zod";
import { advertisedTemplateSchema, instanceStateSchema, terminateReasonSchema } from "../provisioner.ts";
import { DEFAULT_PAGE, id, MAX_CURSOR_CHARS, MAX_PAGE, nextCursor, nullableTimestamp, timestamp } from "./values.ts";

const MAX_NAME_CHARS = 255;
const MAX_TTL_SECONDS = 31_536_000;

const tokenFields = {
  id,
  workspace_id: id,
  prefix: z.string().meta({ description: "The first characters of the token, to recognise it by" }),
  name: z.string().nullable(),
  scope: z.literal("workspace"),
  expires_at: nullableTimestamp,
  revoked_at: nullableTimestamp,
  created_by_user_id: id,
  revoked_by_user_id: id.nullable(),
  last_seen_at: nullableTimestamp.meta({ description: "When a provisioner last called with it" }),
  created_at: timestamp,
  updated_at: timestamp,
};

export const provisionerTokenSchema = z.object(tokenFields).meta({ id: "ProvisionerToken" });
export const createProvisionerTokenBodySchema = z.object({
  name: z.string().min(1).max(MAX_NAME_CHARS).optional(),
  ttl_seconds: z.int().min(1).max(MAX_TTL_SECONDS).optional().meta({ description: "Absent: it never expires" }),
});
export const createProvisionerTokenReplySchema = z
  .object({ ...tokenFields, raw_token: z.string().meta({ description: "Shown this once" }) })
  .meta({ id: "CreatedProvisionerToken" });
export const provisionerTokensReplySchema = z.object({ tokens: z.array(provisionerTokenSchema) });

export const activeProvisionersReplySchema = z.object({
  provisioners: z.array(
    z
      .object({
        id,
        name: z.string().nullable(),
        prefix: z.string(),
        last_seen_at: timestamp,
        host: z.string().nullable().meta({ description: "Where the daemon runs that speaks for it now" }),
        templates: z
          .array(advertisedTemplateSchema)
          .meta({ description: "What it said within the last two minutes that it can start" }),
      })
      .meta({ id: "ActiveProvisioner" }),
  ),
});
export type ActiveProvisioner = z.infer<typeof activeProvisionersReplySchema>["provisioners"][number];

export type ProvisionerToken = z.infer<typeof provisionerTokenSchema>;

const instanceFields = {
  id,
  workspace_id: id,
  provisioner_id: id,
  template_key: z.string(),
  provider_kind: z.string().nullable(),
  provider_runner_id: z.string().nullable().meta({ description: "What the provider calls the machine" }),
  labels: z.array(z.string()),
  state: instanceStateSchema,
  reason: z.string().nullable().meta({ description: "Why it is in this state, as far as somebody said" }),
  terminate_reason: terminateReasonSchema
    .nullable()
    .meta({ description: "Why it is to be removed; null while it is wanted" }),
  runner_id: id.nullable(),
  claimed: z.boolean().meta({ description: "It has been given its one job" }),
  registers_until: nullableTimestamp.meta({ description: "Null once its runner has registered" }),
  registered_at: nullableTimestamp,
  reported_at: nullableTimestamp,
  created_at: timestamp,
  ended_at: nullableTimestamp,
};

export const runnerInstanceSchema = z.object(instanceFields).meta({ id: "RunnerInstance" });
export type RunnerInstance = z.infer<typeof runnerInstanceSchema>;
export const runnerInstanceDetailSchema = z
  .object({
    ...instanceFields,
    console_tail: z.string().nullable().meta({ description: "The last that its console said" }),
    history: z.array(z.object({ state: instanceStateSchema, reason: z.string().nullable(), at: timestamp })),
  })
  .meta({ id: "RunnerInstanceDetail" });
export const runnerInstancesQuerySchema = z.object({
  provisioner_id: id.optional().meta({ description: "Only those that this provisioner started" }),
  open: z.enum(["true", "false"]).default("false").meta({ description: "Only those that have not ended" }),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
  cursor: z.string().max(MAX_CURSOR_CHARS).optional(),
});
export const runnerInstancesReplySchema = z.object({
  runner_instances: z.array(runnerInstanceSchema),
  next_cursor: nextCursor,
});
