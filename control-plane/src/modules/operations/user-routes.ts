import {
  adminRoleBodySchema,
  type AdminUser,
  adminUsersQuerySchema,
  adminUsersReplySchema,
  changedUserReplySchema,
  optionalReasonBodySchema,
  reasonBodySchema,
  revokedSessionsReplySchema,
} from "@shipfox/shared/api/admin";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { requireInstanceRole } from "../../http/access.ts";
import { byCreation, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import type { UserRow } from "../../store/schema.ts";
import type { OperationsDeps } from "./deps.ts";
import { changeAdminRole, endSessions, reactivateUser, suspendUser } from "./manage-users.ts";
import { listUsers } from "./store.ts";

const TAG = "Administration";
const PATH = "/admin/auth/users";
const params = z.object({ userId: id });

export function createUserRoutes(deps: OperationsDeps): Route[] {
  const { store, access } = deps;
  return [
    route({
      method: "GET",
      path: PATH,
      tag: TAG,
      summary: "The accounts of the server, newest first",
      credential: "user",
      needs: "instance:read",
      query: adminUsersQuerySchema,
      responses: { 200: adminUsersReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, query }) => {
        await store.read((tx) => requireInstanceRole(access, tx, principal));
        const { page, nextCursor } = pageOf(await listUsers(store, query), query.limit, byCreation);
        return { status: 200, body: { users: page.map(presentUser), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "POST",
      path: `${PATH}/{userId}/suspend`,
      tag: TAG,
      summary: "Let a user in no more; needs Idempotency-Key",
      credential: "user",
      needs: "instance:operate",
      audit: "user.suspended",
      params,
      body: reasonBodySchema,
      responses: { 200: changedUserReplySchema },
      errors: ["forbidden", "not-found", "idempotency-key-required", "user-already-suspended", "last-admin-owner"],
      handle: async ({ principal, params: { userId }, body: { reason }, request }) => {
        const user = await suspendUser(deps, principal, { userId, reason });
        return { status: 200, body: { ...presentUser(user), correlation_id: request.id } };
      },
    }),
    route({
      method: "POST",
      path: `${PATH}/{userId}/reactivate`,
      tag: TAG,
      summary: "Let a suspended user in again; needs Idempotency-Key",
      credential: "user",
      needs: "instance:operate",
      audit: "user.reactivated",
      params,
      body: optionalReasonBodySchema,
      responses: { 200: changedUserReplySchema },
      errors: ["forbidden", "not-found", "idempotency-key-required", "user-not-suspended"],
      handle: async ({ principal, params: { userId }, body: { reason }, request }) => {
        const user = await reactivateUser(deps, principal, { userId, reason });
        return { status: 200, body: { ...presentUser(user), correlation_id: request.id } };
      },
    }),
    route({
      method: "POST",
      path: `${PATH}/{userId}/revoke-sessions`,
      tag: TAG,
      summary: "End all sessions of a user; needs Idempotency-Key",
      credential: "user",
      needs: "instance:operate",
      audit: "user.sessions_revoked",
      params,
      body: optionalReasonBodySchema,
      responses: { 200: revokedSessionsReplySchema },
      errors: ["forbidden", "not-found", "idempotency-key-required"],
      handle: async ({ principal, params: { userId }, body: { reason }, request }) => {
        const { ended, ...user } = await endSessions(deps, principal, { userId, reason });
        return {
          status: 200,
          body: { ...presentUser(user), sessions_revoked: ended, correlation_id: request.id },
        };
      },
    }),
    route({
      method: "POST",
      path: `${PATH}/{userId}/admin-role`,
      tag: TAG,
      summary: "Make a user an administrator of the server, or none; needs Idempotency-Key",
      credential: "user",
      needs: "instance:own",
      audit: "user.admin_role_changed",
      params,
      body: adminRoleBodySchema,
      responses: { 200: changedUserReplySchema },
      errors: ["forbidden", "not-found", "idempotency-key-required", "last-admin-owner"],
      handle: async ({ principal, params: { userId }, body: { role, reason }, request }) => {
        const user = await changeAdminRole(deps, principal, { userId, role, reason });
        return { status: 200, body: { ...presentUser(user), correlation_id: request.id } };
      },
    }),
  ];
}

function presentUser(row: UserRow): AdminUser {
  const { id: userId, email, name, status, admin_role, email_verified_at, created_at, updated_at } = row;
  return {
    id: userId,
    email,
    name,
    status: status as AdminUser["status"],
    email_verified_at: email_verified_at === null ? null : new Date(email_verified_at).toISOString(),
    admin_role: admin_role as AdminUser["admin_role"],
    created_at: new Date(created_at).toISOString(),
    updated_at: new Date(updated_at).toISOString(),
  };
}
