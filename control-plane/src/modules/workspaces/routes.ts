import {
  createWorkspaceBodySchema,
  type Membership,
  membershipsReplySchema,
  type Workspace,
  workspaceSchema,
} from "@shipfox/shared/api/workspaces";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { WorkspaceRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { createWorkspace } from "./create-workspace.ts";
import { type ListedMembership, listMemberships } from "./store.ts";

export interface WorkspaceRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
}

const TAG = "Workspaces";

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
