import { changeMemberBodySchema, type Member, memberSchema, membersReplySchema } from "@shipfox/shared/api/workspaces";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { type Route, route } from "../../http/route.ts";
import type { ListedMember } from "./member-store.ts";
import { changeRole, leaveWorkspace, type MembersDeps, readMembers, removeMember } from "./members.ts";

const TAG = "Workspaces";
const PATH = "/workspaces/{workspaceId}/members";
const inWorkspace = z.object({ workspaceId: id });
const oneMember = z.object({ workspaceId: id, userId: id });

export function createMemberRoutes(deps: MembersDeps): Route[] {
  return [
    route({
      method: "GET",
      path: PATH,
      tag: TAG,
      summary: "The members of a workspace, oldest first",
      credential: "user",
      needs: "projects:read",
      params: inWorkspace,
      responses: { 200: membersReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params }) => {
        const members = await readMembers(deps, principal, params.workspaceId);
        return { status: 200, body: { members: members.map(presentMember) } };
      },
    }),
    route({
      method: "PATCH",
      path: `${PATH}/{userId}`,
      tag: TAG,
      summary: "Give a member another role; owners are made and changed by owners only",
      credential: "user",
      needs: "members:manage",
      audit: "member.role_changed",
      params: oneMember,
      body: changeMemberBodySchema,
      responses: { 200: memberSchema },
      errors: ["forbidden", "not-found", "last-owner"],
      handle: async ({ principal, params, body }) => {
        const member = await changeRole(deps, principal, { ...params, role: body.role });
        return { status: 200, body: presentMember(member) };
      },
    }),
    route({
      method: "DELETE",
      path: `${PATH}/{userId}`,
      tag: TAG,
      summary: "Remove a member, with his access tokens for the workspace",
      credential: "user",
      needs: "members:manage",
      audit: "member.removed",
      params: oneMember,
      responses: { 204: null },
      errors: ["forbidden", "not-found", "self-removal-not-allowed", "last-owner"],
      handle: async ({ principal, params }) => {
        await removeMember(deps, principal, params);
        return { status: 204 };
      },
    }),
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/leave",
      tag: TAG,
      summary: "End your own membership",
      credential: "user",
      needs: "account",
      audit: "member.left",
      params: inWorkspace,
      responses: { 204: null },
      errors: ["forbidden", "last-owner", "workspace-inactive", "workspace-suspended"],
      handle: async ({ principal, params }) => {
        await leaveWorkspace(deps, principal, params.workspaceId);
        return { status: 204 };
      },
    }),
  ];
}

function presentMember(row: ListedMember): Member {
  const { id: membershipId, user_id, workspace_id, role, user_email, user_name } = row;
  return {
    id: membershipId,
    user_id,
    workspace_id,
    role: role as Member["role"],
    user_email,
    user_name,
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}
