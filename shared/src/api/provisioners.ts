import { z } from "zod";
import { id, nullableTimestamp, timestamp } from "./values.ts";

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
      .object({ id, name: z.string().nullable(), prefix: z.string(), last_seen_at: timestamp })
      .meta({ id: "ActiveProvisioner" }),
  ),
});

export type ProvisionerToken = z.infer<typeof provisionerTokenSchema>;
