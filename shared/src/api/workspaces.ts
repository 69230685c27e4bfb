import { z } from "zod";
import { displayName, id, slug, timestamp } from "./values.ts";

const status = z.enum(["active", "suspended", "deleted"]);

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
    role: z.enum(["owner", "admin", "maintainer", "viewer"]),
    workspace_name: z.string(),
    workspace_slug: z.string(),
    workspace_status: status,
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Membership" });

export const createWorkspaceBodySchema = z.object({ name: displayName, slug: slug.optional() });
export const membershipsReplySchema = z.object({ memberships: z.array(membershipSchema) });

export type Workspace = z.infer<typeof workspaceSchema>;
export type Membership = z.infer<typeof membershipSchema>;
