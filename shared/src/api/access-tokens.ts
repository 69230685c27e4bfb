import { z } from "zod";
import { MAX_PASSWORD_CHARS } from "./accounts.ts";
import { displayName, id, nextCursor, nullableTimestamp, pageQuery, timestamp } from "./values.ts";

const DAY_SECONDS = 86_400;
const MIN_TTL_SECONDS = 60;
const MAX_TTL_SECONDS = 366 * DAY_SECONDS;
const DEFAULT_TTL_SECONDS = 90 * DAY_SECONDS;
const MAX_PATH_CHARS = 512;

/** What may be done in a workspace; who may do it is the server's matter. */
export const ABILITY_NAMES = [
  "projects:read",
  "runs:read",
  "projects:write",
  "definitions:write",
  "runs:start",
  "runs:control",
  "secrets:write",
  "runners:manage",
  "settings:read",
  "settings:write",
  "members:manage",
  "workspace:delete",
] as const;
export type Ability = (typeof ABILITY_NAMES)[number];

export const accessTokenSchema = z
  .object({
    id,
    name: z.string(),
    prefix: z.string().meta({ description: "The first 12 characters, by which to recognise it" }),
    workspace_id: id,
    abilities: z.array(z.string()),
    expires_at: nullableTimestamp,
    last_used_at: nullableTimestamp.meta({ description: "To within some minutes" }),
    created_at: timestamp,
  })
  .meta({ id: "AccessToken" });

export const createAccessTokenBodySchema = z.strictObject({
  name: displayName.meta({ description: "What it is for" }),
  workspace_id: id.meta({ description: "The one workspace in which it counts" }),
  ttl_seconds: z
    .int()
    .min(MIN_TTL_SECONDS)
    .max(MAX_TTL_SECONDS)
    .default(DEFAULT_TTL_SECONDS)
    .meta({ description: "How long it lives: one minute to 366 days" }),
  current_password: z
    .string()
    .min(1)
    .max(MAX_PASSWORD_CHARS)
    .optional()
    .meta({ description: "Your password; needed when one of the abilities is sensitive" }),
  abilities: z
    .array(z.enum(ABILITY_NAMES))
    .min(1)
    .max(ABILITY_NAMES.length)
    .meta({ description: "What it may do: at most what your role in the workspace may" }),
});
export const createAccessTokenReplySchema = accessTokenSchema
  .extend({ raw_token: z.string().meta({ description: "The token itself, shown only now" }) })
  .meta({ id: "CreatedAccessToken" });

export const accessTokensQuerySchema = z.object({ ...pageQuery, workspace_id: id.optional() });
export const accessTokensReplySchema = z.object({ tokens: z.array(accessTokenSchema), next_cursor: nextCursor });
export const accessTokenParamsSchema = z.object({ tokenId: id });

export const createStreamTicketBodySchema = z.strictObject({
  path: z
    .string()
    .max(MAX_PATH_CHARS)
    .regex(/^\/[^?#\s]*$/, "must be the path of a stream, without its query")
    .meta({ description: "Path of the one stream that the ticket opens, without query; `/ws` for the WebSocket" }),
  workspace_id: id.optional().meta({ description: "When given, the ticket counts in this workspace only" }),
});
export const createStreamTicketReplySchema = z
  .object({
    ticket: z.string().meta({ description: "For `?ticket=` or the first message of the WebSocket; good for one use" }),
    expires_at: timestamp,
  })
  .meta({ id: "StreamTicket" });

export type AccessToken = z.infer<typeof accessTokenSchema>;
