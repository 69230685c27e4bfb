import { z } from "zod";
import { displayName, id, nextCursor, pageQuery, timestamp } from "./values.ts";

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

/** `lifecycle_status` is published, `display_name` is ours; at least one of them. */
export const updateConnectionBodySchema = z
  .object({
    lifecycle_status: z.enum(["active", "disabled"]).optional().meta({
      description: "A disabled connection reads no repository, and what its provider sends is dropped",
    }),
    display_name: displayName.max(MAX_CONNECTION_NAME_CHARS).optional(),
  })
  .refine((body) => Object.values(body).some((value) => value !== undefined), {
    message: "name at least one of lifecycle_status and display_name",
  });

const MAX_SEARCH_CHARS = 100;

export const repositoriesQuerySchema = z.object({
  ...pageQuery,
  search: z.string().trim().min(1).max(MAX_SEARCH_CHARS).optional().meta({
    description: "Part of owner/name, in either case; for a git connection also a whole clone URL, which is then tried",
  }),
});

/** A repository that a connection may read; `external_repository_id` is what `POST /projects` takes. */
const repositorySchema = z
  .object({
    connection_id: id,
    external_repository_id: z.string(),
    owner: z.string(),
    name: z.string(),
    full_name: z.string(),
    default_branch: z.string(),
    visibility: z.enum(["public", "private", "internal", "unknown"]),
    clone_url: z.string(),
    html_url: z.string().nullable().meta({ description: "null where the provider has no page for it" }),
  })
  .meta({ id: "Repository" });
export const repositoriesReplySchema = z.object({
  repositories: z.array(repositorySchema),
  next_cursor: nextCursor,
});
export type Repository = z.infer<typeof repositorySchema>;

export const installBodySchema = z.object({ workspace_id: id });
export const installReplySchema = z.object({
  install_url: z.string().meta({ description: "Where the person's browser goes; good for 30 minutes" }),
});

const MAX_CODE_CHARS = 512;
const MAX_STATE_CHARS = 2048;

/** What GitHub adds to the address to which it sends the browser back. */
export const githubCallbackQuerySchema = z.object({
  code: z.string().min(1).max(MAX_CODE_CHARS),
  installation_id: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  state: z.string().min(1).max(MAX_STATE_CHARS),
  setup_action: z.string().max(MAX_CODE_CHARS).optional(),
});

/** How receivers of providers' webhooks refuse: not with a code, but as providers show it to people. */
export const deliveryErrorSchema = z.object({ error: z.string() }).meta({ id: "DeliveryError" });

export type Connection = z.infer<typeof connectionSchema>;
