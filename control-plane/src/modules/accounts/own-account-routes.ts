import {
  meReplySchema,
  sessionParamsSchema,
  sessionsReplySchema,
  updateMeBodySchema,
} from "@shipfox/shared/api/accounts";
import { ApiError } from "@shipfox/shared/errors";
import { type Route, route } from "../../http/route.ts";
import type { RefreshSessionRow, UserRow } from "../../store/schema.ts";
import { presentUser } from "./session.ts";
import type { AccountRoutesDeps } from "./signed-in-reply.ts";
import { findUser, listSessions, revokeOwnSession, setName } from "./store.ts";

const TAG = "Accounts";
/** The newest ones; older sessions end by themselves. */
const MAX_LISTED_SESSIONS = 100;

/** What a user sees and changes of the own account. */
export function createOwnAccountRoutes({ store, clock, accessChanged }: AccountRoutesDeps): Route[] {
  return [
    route({
      method: "GET",
      path: "/auth/me",
      tag: TAG,
      summary: "The signed-in user",
      credential: "user",
      needs: "identity",
      responses: { 200: meReplySchema },
      errors: ["not-found"],
      handle: async ({ principal }) => {
        const user = await store.read((tx) => findUser(tx, principal.userId));
        if (!user) throw gone();
        return { status: 200, body: presentMe(user) };
      },
    }),
    route({
      method: "PATCH",
      path: "/auth/me",
      tag: TAG,
      summary: "Change your name",
      credential: "user",
      needs: "account",
      audit: "account.updated",
      body: updateMeBodySchema,
      responses: { 200: meReplySchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, body: { name } }) => {
        const now = clock.now();
        const user = await store.write(async (tx) => {
          const changed = await setName(tx, principal.userId, name, now);
          if (!changed) throw gone();
          const target = { type: "user", id: changed.id, name: changed.email };
          await tx.audit(principal, { workspaceId: null, action: "account.updated", target, details: { name } });
          return changed;
        });
        return { status: 200, body: presentMe(user) };
      },
    }),
    route({
      method: "GET",
      path: "/auth/sessions",
      tag: TAG,
      summary: `Where you are signed in: the newest ${MAX_LISTED_SESSIONS} sessions`,
      credential: "user",
      needs: "account",
      responses: { 200: sessionsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal }) => {
        const now = clock.now();
        const rows = await store.read((tx) => listSessions(tx, principal.userId, now, MAX_LISTED_SESSIONS));
        const sessions = rows.map((row) => presentListed(row, principal.refreshSessionId));
        return { status: 200, body: { sessions } };
      },
    }),
    route({
      method: "DELETE",
      path: "/auth/sessions/{sessionId}",
      tag: TAG,
      summary: "End one of your sessions",
      credential: "user",
      needs: "account",
      audit: "session.ended",
      params: sessionParamsSchema,
      responses: { 204: null },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { sessionId } }) => {
        const now = clock.now();
        await store.write(async (tx) => {
          if (!(await revokeOwnSession(tx, principal.userId, sessionId, now))) {
            throw new ApiError("not-found", "you have no such session, or it has ended");
          }
          const target = { type: "session", id: sessionId };
          await tx.audit(principal, { workspaceId: null, action: "session.ended", target });
          tx.afterCommit(() => accessChanged({ sessionId }));
        });
        return { status: 204 };
      },
    }),
  ];
}

function gone(): ApiError {
  return new ApiError("not-found", "this account does not exist any more");
}

function presentMe(user: UserRow) {
  return { user: presentUser(user), admin_role: user.admin_role };
}

function presentListed(row: RefreshSessionRow, currentId: string | null) {
  return {
    id: row.id,
    current: row.id === currentId,
    ip: row.ip,
    user_agent: row.user_agent,
    created_at: new Date(row.created_at).toISOString(),
    last_used_at: new Date(row.rotated_at ?? row.created_at).toISOString(),
    expires_at: new Date(row.expires_at).toISOString(),
  };
}
