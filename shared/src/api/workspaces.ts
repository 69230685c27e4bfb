import { z } from "zod";
import { displayName, email, id, nullableTimestamp, slug, timestamp } from "./values.ts";

const status = z.enum(["active", "suspended", "deleted"]);
/** Of the members of a workspace, weakest first. */
export const ROLES = ["viewer", "maintainer", "admin", "owner"] as const;
export type Role = (typeof ROLES)[number];

const role = z.enum(ROLES).meta({ description: "What each may do: docs/access.md" });
const MAX_TOKEN_CHARS = 256;
const invitationToken = z.string().min(1).max(MAX_TOKEN_CHARS).meta({ description: "`token` of the link, sf_i_…" });

export const workspaceSchema = z
  .object({
    id,
    name: z.string(),
    slug: z.string(),
    status,
    settings: z.record(z.string(), z.json()),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Workspace" });

export const membershipSchema = z
  .object({
    id,
    user_id: id,
    workspace_id: id,
    role,
    workspace_name: z.string(),
    workspace_slug: z.string(),
    workspace_status: status,
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Membership" });

export const memberSchema = z
  .object({
    id,
    user_id: id,
    workspace_id: id,
    role,
    user_email: z.string(),
    user_name: z.string().nullable(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Member" });

export const invitationSchema = z
  .object({
    id,
    workspace_id: id,
    email: z.string(),
    role,
    expires_at: timestamp,
    accepted_at: nullableTimestamp,
    invited_by_user_id: id,
    invited_by_display: z.string().nullable(),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Invitation" });

export const updateWorkspaceBodySchema = z
  .object({ name: displayName.optional(), slug: slug.optional() })
  .refine(({ name, slug: newSlug }) => name !== undefined || newSlug !== undefined, "expected name or slug");
export const slugAvailabilityQuerySchema = z.object({ slug });
export const slugAvailabilityReplySchema = z.object({ available: z.boolean() });

export const membersReplySchema = z.object({ members: z.array(memberSchema) });
export const changeMemberBodySchema = z.strictObject({ role });

export const createInvitationBodySchema = z.object({ email, role: role.default("maintainer") });
export const createInvitationReplySchema = invitationSchema
  .extend({
    link: z
      .string()
      .nullable()
      .meta({ description: "Shown once, and only where no mail server is configured; else it was mailed" }),
  })
  .meta({ id: "CreatedInvitation" });
export const invitationsReplySchema = z.object({ invitations: z.array(invitationSchema) });
export const invitationTokenQuerySchema = z.object({ token: invitationToken });
export const acceptInvitationBodySchema = z.object({ token: invitationToken });
export const acceptInvitationReplySchema = z.object({
  membership: z.object({ id, user_id: id, workspace_id: id }),
  already_member: z.boolean(),
});
export const invitationPreviewSchema = z.discriminatedUnion("status", [
  z.object({
    status: z.literal("pending"),
    workspace_id: id,
    workspace_name: z.string(),
    email: z.string(),
    invited_by_display: z.string().nullable(),
    expires_at: timestamp,
  }),
  z.object({ status: z.literal("expired"), workspace_name: z.string(), expires_at: timestamp }),
  z.object({ status: z.literal("already_used"), workspace_name: z.string() }),
  z.object({ status: z.literal("invalid") }),
]);

export const createWorkspaceBodySchema = z.object({ name: displayName, slug: slug.optional() });
export const membershipsReplySchema = z.object({ memberships: z.array(membershipSchema) });

export type Workspace = z.infer<typeof workspaceSchema>;
export type Membership = z.infer<typeof membershipSchema>;
export type Member = z.infer<typeof memberSchema>;
export type Invitation = z.infer<typeof invitationSchema>;
export type CreatedInvitation = z.infer<typeof createInvitationReplySchema>;
export type InvitationPreview = z.infer<typeof invitationPreviewSchema>;
