import {
  type AdminWorkspace,
  adminWorkspacesQuerySchema,
  adminWorkspacesReplySchema,
  optionalReasonBodySchema,
  reasonBodySchema,
  workspaceStatusReplySchema,
} from "@shipfox/shared/api/admin";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { requireInstanceRole } from "../../http/access.ts";
import { byCreation, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import type { OperationsDeps } from "./deps.ts";
import { changeWorkspaceStatus } from "./manage-workspaces.ts";
import { type ListedWorkspace, listWorkspaces } from "./store.ts";

const TAG = "Administration";
const PATH = "/admin/workspaces";
const params = z.object({ workspaceId: id });

export function createWorkspaceAdminRoutes(deps: OperationsDeps): Route[] {
  const { store, access } = deps;
  return [
    route({
      method: "GET",
      path: PATH,
      tag: TAG,
      summary: "The workspaces of the server, newest first",
      credential: "user",
      needs: "instance:read",
      query: adminWorkspacesQuerySchema,
      responses: { 200: adminWorkspacesReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, query }) => {
        await store.read((tx) => requireInstanceRole(access, tx, principal));
        const { page, nextCursor } = pageOf(await listWorkspaces(store, query), query.limit, byCreation);
        return { status: 200, body: { workspaces: page.map(presentWorkspace), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "POST",
      path: `${PATH}/{workspaceId}/suspend`,
      tag: TAG,
      summary: "Shut a workspace: no run and no job starts, jobs that run go on to their end; needs Idempotency-Key",
      credential: "user",
      needs: "instance:operate",
      audit: "workspace.suspended",
      params,
      body: reasonBodySchema,
      responses: { 200: workspaceStatusReplySchema },
      errors: [
        "forbidden",
        "idempotency-key-required",
        "workspace-not-found",
        "workspace-deleted",
        "workspace-already-suspended",
      ],
      handle: async ({ principal, params: { workspaceId }, body: { reason }, request }) => {
        await changeWorkspaceStatus(deps, principal, { workspaceId, status: "suspended", reason });
        return {
          status: 200,
          body: { workspace_id: workspaceId, status: "suspended" as const, correlation_id: request.id },
        };
      },
    }),
    route({
      method: "POST",
      path: `${PATH}/{workspaceId}/reactivate`,
      tag: TAG,
      summary: "Open a suspended workspace again; needs Idempotency-Key",
      credential: "user",
      needs: "instance:operate",
      audit: "workspace.reactivated",
      params,
      body: optionalReasonBodySchema,
      responses: { 200: workspaceStatusReplySchema },
      errors: [
        "forbidden",
        "idempotency-key-required",
        "workspace-not-found",
        "workspace-deleted",
        "workspace-not-suspended",
      ],
      handle: async ({ principal, params: { workspaceId }, body: { reason }, request }) => {
        await changeWorkspaceStatus(deps, principal, { workspaceId, status: "active", reason });
        return {
          status: 200,
          body: { workspace_id: workspaceId, status: "active" as const, correlation_id: request.id },
        };
      },
    }),
  ];
}

function presentWorkspace(row: ListedWorkspace): AdminWorkspace {
  const { id: workspaceId, name, slug, status, members, projects, created_at, updated_at } = row;
  return {
    id: workspaceId,
    name,
    slug,
    status: status as AdminWorkspace["status"],
    members,
    projects,
    created_at: new Date(created_at).toISOString(),
    updated_at: new Date(updated_at).toISOString(),
  };
}
