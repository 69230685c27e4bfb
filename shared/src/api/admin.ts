import { z } from "zod";
import { limit } from "./usage.ts";
import { displayName, email, id, nextCursor, nullableTimestamp, pageQuery, timestamp } from "./values.ts";

const MAX_REASON_CHARS = 512;
const MAX_SEARCH_CHARS = 100;
const count = z.int();
const search = z
  .string()
  .min(1)
  .max(MAX_SEARCH_CHARS)
  .meta({ description: "Part of the name, or of the address or slug, in either case" });
const reason = z.string().trim().min(1).max(MAX_REASON_CHARS).meta({ description: "Why; kept in the audit log" });
const correlation = {
  correlation_id: z.string().meta({ description: "`X-Request-Id` of the call, by which the audit log has it" }),
};
const userStatus = z.enum(["active", "suspended", "deleted"]);
const workspaceStatus = z.enum(["active", "suspended", "deleted"]);
const adminRole = z
  .enum(["admin-observer", "admin-operator", "admin-owner"])
  .meta({ description: "Looks; also manages people and workspaces; also makes administrators and changes settings" });

export const bootstrapStateReplySchema = z.object({
  state: z
    .enum(["available", "closed"])
    .meta({ description: "available: no account exists, and the first one will own the server" }),
});

export const adminUserSchema = z
  .object({
    id,
    email: z.string(),
    name: displayName.nullable(),
    status: userStatus,
    email_verified_at: nullableTimestamp,
    admin_role: adminRole.nullable(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "AdminUser" });

export const adminUsersQuerySchema = z.object({
  user_id: id.optional().meta({ description: "Only this user" }),
  email: email.optional().meta({ description: "Only who has this address" }),
  search: search.optional(),
  status: userStatus.optional(),
  ...pageQuery,
});
export const adminUsersReplySchema = z.object({ users: z.array(adminUserSchema), next_cursor: nextCursor });
export const changedUserReplySchema = adminUserSchema.extend(correlation).meta({ id: "ChangedUser" });
export const revokedSessionsReplySchema = adminUserSchema
  .extend({ ...correlation, sessions_revoked: count })
  .meta({ id: "RevokedSessions" });

export const reasonBodySchema = z.strictObject({ reason });
export const optionalReasonBodySchema = z.strictObject({ reason: reason.optional() });
export const adminRoleBodySchema = z.strictObject({
  role: adminRole.nullable().meta({ description: "Null: no administrator any more" }),
  reason,
});

export const adminWorkspaceSchema = z
  .object({
    id,
    name: z.string(),
    slug: z.string(),
    status: workspaceStatus,
    members: count,
    projects: count,
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "AdminWorkspace" });
export const adminWorkspacesQuerySchema = z.object({
  workspace_id: id.optional().meta({ description: "Only this workspace" }),
  search: search.optional(),
  status: workspaceStatus.optional(),
  ...pageQuery,
});
export const adminWorkspacesReplySchema = z.object({
  workspaces: z.array(adminWorkspaceSchema),
  next_cursor: nextCursor,
});
export const workspaceStatusReplySchema = z.object({ workspace_id: id, status: workspaceStatus, ...correlation });

export const overviewReplySchema = z
  .object({
    version: z.string(),
    users: z.object({ active: count, suspended: count, administrators: count }),
    workspaces: z.object({ active: count, suspended: count, deleted: count }),
    projects: count,
    runs: z.object({
      going: count.meta({ description: "Not ended, and not waiting for a place" }),
      waiting: count.meta({ description: "For a place under the limit of their workspace" }),
    }),
    jobs: z.object({
      queued: count.meta({ description: "Waiting for a runner" }),
      running: count.meta({ description: "On a runner" }),
    }),
  })
  .meta({ id: "Overview" });

const settingOf = <Value extends z.ZodType>(value: Value) =>
  z.object({ value, own: z.boolean().meta({ description: "False: as the server was started" }) });
export const serverSettingsReplySchema = z
  .object({ allow_signup: settingOf(z.boolean()), max_concurrent_runs: settingOf(limit) })
  .meta({ id: "ServerSettings" });
export const changeServerSettingsBodySchema = z
  .strictObject({
    allow_signup: z
      .boolean()
      .nullable()
      .optional()
      .meta({ description: "Whether anybody may make an account; null: as the server was started" }),
    max_concurrent_runs: limit
      .nullable()
      .optional()
      .meta({ description: "Of workspaces without a limit of their own; null: as the server was started" }),
    reason,
  })
  .refine(
    ({ allow_signup, max_concurrent_runs }) => allow_signup !== undefined || max_concurrent_runs !== undefined,
    "expected allow_signup or max_concurrent_runs",
  );

export type AdminUser = z.infer<typeof adminUserSchema>;
export type AdminUsersQuery = z.output<typeof adminUsersQuerySchema>;
export type AdminWorkspace = z.infer<typeof adminWorkspaceSchema>;
export type AdminWorkspacesQuery = z.output<typeof adminWorkspacesQuerySchema>;
export type Overview = z.infer<typeof overviewReplySchema>;
export type ServerSettings = z.infer<typeof serverSettingsReplySchema>;
export type ServerSettingsChange = Omit<z.output<typeof changeServerSettingsBodySchema>, "reason">;
