import { z } from "zod";
import { id, timestamp } from "./values.ts";

export const MAX_REPOSITORY_ID_CHARS = 255;
export const MAX_REPOSITORY_URL_CHARS = 2048;
const MAX_CONNECTION_NAME_CHARS = 100;
const MAX_CREDENTIAL_CHARS = 16_384;

export const capabilitySchema = z.enum(["source_control", "agent_tools"]);

export const connectionSchema = z
  .object({
    id,
    workspace_id: id,
    provider: z.string(),
    external_account_id: z.string(),
    slug: z.string(),
    display_name: z.string(),
    lifecycle_status: z.enum(["active", "disabled", "error"]),
    capabilities: z.array(capabilitySchema),
    external_url: z.string().optional(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Connection" });

/** The generic git connection: any host that speaks git over https or ssh (http and file when the operator allows). */
export const createGitConnectionBodySchema = z.strictObject({
  workspace_id: id,
  name: z.string().trim().min(1).max(MAX_CONNECTION_NAME_CHARS),
  base_url: z.string().min(1).max(MAX_REPOSITORY_URL_CHARS).optional(),
  username: z.string().min(1).max(MAX_CONNECTION_NAME_CHARS).optional(),
  token: z.string().min(1).max(MAX_CREDENTIAL_CHARS).optional(),
  ssh_key: z.string().min(1).max(MAX_CREDENTIAL_CHARS).optional(),
});

export const connectionsQuerySchema = z.object({ workspace_id: id, capability: capabilitySchema.optional() });
export const connectionsReplySchema = z.object({ connections: z.array(connectionSchema) });

export const providersQuerySchema = z.object({ capability: capabilitySchema.optional() });
export const providersReplySchema = z.object({
  providers: z.array(
    z.object({ provider: z.string(), display_name: z.string(), capabilities: z.array(capabilitySchema) }),
  ),
});

export type Connection = z.infer<typeof connectionSchema>;
