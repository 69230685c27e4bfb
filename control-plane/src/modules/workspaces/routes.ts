import {
  createWorkspaceBodySchema,
  type Membership,
  membershipsReplySchema,
  slugAvailabilityQuerySchema,
  slugAvailabilityReplySchema,
  updateWorkspaceBodySchema,
  type Workspace,
  workspaceSchema,
} from "@shipfox/shared/api/workspaces";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { type Route, route } from "../../http/route.ts";
import type { WorkspaceRow } from "../../store/schema.ts";
import { type ChangeWorkspaceDeps, deleteWorkspace, readWorkspace, renameWorkspace } from "./change-workspace.ts";
import { createWorkspace } from "./create-workspace.ts";
import { isSlugFree, type ListedMembership, listMemberships } from "./store.ts";

export type WorkspaceRoutesDeps = ChangeWorkspaceDeps;

const TAG = "Workspaces";
const inWorkspace = z.object({ workspaceId: id });

export function createWorkspaceRoutes(deps: WorkspaceRoutesDeps): Route[] {
  return [
    route({
      method: "GET",
      path: "/workspaces",
      tag: TAG,
      summary: "The workspaces you are a member of, by name",
      credential: "user",
      needs: "identity",
      responses: { 200: membershipsReplySchema },
      handle: async ({ principal }) => {
        const rows = await deps.store.read((tx) => listMemberships(tx, principal.userId));
        // A token is of one workspace, and tells of no other.
        const shown = rows.filter((row) => [row.workspace_id, undefined].includes(principal.token?.workspaceId));
        return { status: 200, body: { memberships: shown.map(presentMembership) } };
      },
    }),
    route({
      method: "POST",
      path: "/workspaces",
      tag: TAG,
      summary: "Make a workspace; you become its owner",
      credential: "user",
      needs: "account",
      audit: "workspace.created",
      body: createWorkspaceBodySchema,
      responses: { 201: workspaceSchema },
      errors: ["slug-conflict"],
      handle: async ({ principal, body }) => {
        const workspace = await createWorkspace(deps, { caller: principal, name: body.name, slug: body.slug });
        return { status: 201, body: presentWorkspace(workspace) };
      },
    }),
    // Before the routes of one workspace, whose path it also fits.
    route({
      method: "GET",
      path: "/workspaces/slug-availability",
      tag: TAG,
      summary: "Whether a slug is free on this server",
      credential: "user",
      needs: "identity",
      query: slugAvailabilityQuerySchema,
      responses: { 200: slugAvailabilityReplySchema },
      handle: async ({ query: { slug } }) => ({
        status: 200,
        body: { available: await deps.store.read((tx) => isSlugFree(tx, slug)) },
      }),
    }),
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}",
      tag: TAG,
      summary: "One workspace",
      credential: "user",
      needs: "projects:read",
      params: inWorkspace,
      responses: { 200: workspaceSchema },
      errors: ["forbidden", "workspace-inactive", "workspace-suspended"],
      handle: async ({ principal, params: { workspaceId } }) => ({
        status: 200,
        body: presentWorkspace(await readWorkspace(deps, principal, workspaceId)),
      }),
    }),
    route({
      method: "PATCH",
      path: "/workspaces/{workspaceId}",
      tag: TAG,
      summary: "Give a workspace another name or slug",
      credential: "user",
      needs: "settings:write",
      audit: "workspace.updated",
      params: inWorkspace,
      body: updateWorkspaceBodySchema,
      responses: { 200: workspaceSchema },
      errors: ["forbidden", "slug-conflict"],
      handle: async ({ principal, params: { workspaceId }, body: { name, slug } }) => ({
        status: 200,
        body: presentWorkspace(await renameWorkspace(deps, principal, { workspaceId, name, slug })),
      }),
    }),
    route({
      method: "DELETE",
      path: "/workspaces/{workspaceId}",
      tag: TAG,
      summary: "Delete a workspace: nobody reaches it any more, its runners are shut out and its runs cancelled",
      credential: "user",
      needs: "workspace:delete",
      audit: "workspace.deleted",
      params: inWorkspace,
      responses: { 204: null },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => {
        await deleteWorkspace(deps, principal, workspaceId);
        return { status: 204 };
      },
    }),
  ];
}

function presentWorkspace(row: WorkspaceRow): Workspace {
  const { id, name, slug } = row;
  return { id, name, slug, status: row.status as Workspace["status"], settings: {}, ...presentTimes(row) };
}

function presentMembership(row: ListedMembership): Membership {
  const { id, user_id, workspace_id, workspace_name, workspace_slug } = row;
  return {
    id,
    user_id,
    workspace_id,
    role: row.role as Membership["role"],
    workspace_name,
    workspace_slug,
    workspace_status: row.workspace_status as Membership["workspace_status"],
    ...presentTimes(row),
  };
}

function presentTimes(row: { created_at: number; updated_at: number }): { created_at: string; updated_at: string } {
  return { created_at: new Date(row.created_at).toISOString(), updated_at: new Date(row.updated_at).toISOString() };
}
