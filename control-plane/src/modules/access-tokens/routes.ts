import {
  accessTokenParamsSchema,
  accessTokenSchema,
  type AccessToken,
  accessTokensQuerySchema,
  accessTokensReplySchema,
  createAccessTokenBodySchema,
  createAccessTokenReplySchema,
  createStreamTicketBodySchema,
  createStreamTicketReplySchema,
} from "@shipfox/shared/api/access-tokens";
import { ApiError } from "@shipfox/shared/errors";
import { byCreation, decodeCursor, pageOf } from "../../http/cursor.ts";
import type { AccessChanged } from "../../http/open-streams.ts";
import { type Route, route } from "../../http/route.ts";
import type { AccessTokenRow } from "../../store/schema.ts";
import { createToken, type CreateTokenDeps } from "./create-token.ts";
import { findToken, listTokens, revokeToken } from "./store.ts";
import type { Tickets } from "./stream-tickets.ts";

const TAG = "Access tokens";

export interface AccessTokenRoutesDeps extends CreateTokenDeps {
  readonly tickets: Tickets;
  readonly accessChanged: AccessChanged;
}

/** Tokens are made, listed and revoked by the person himself: `account` refuses a token that tries. */
export function createAccessTokenRoutes(deps: AccessTokenRoutesDeps): Route[] {
  const { store, clock, tickets, accessChanged } = deps;
  return [
    route({
      method: "POST",
      path: "/auth/tokens",
      tag: TAG,
      summary: "Mint a personal access token; it is shown once",
      credential: "user",
      needs: "account",
      audit: "access_token.created",
      body: createAccessTokenBodySchema,
      responses: { 201: createAccessTokenReplySchema },
      errors: ["forbidden", "password-required", "invalid-credentials", "access-tokens-exhausted"],
      handle: async ({ principal, body }) => {
        const { raw, row } = await createToken(deps, principal, {
          name: body.name,
          workspaceId: body.workspace_id,
          abilities: body.abilities,
          ttlSeconds: body.ttl_seconds,
          currentPassword: body.current_password,
        });
        const headers = { "cache-control": "no-store" };
        return { status: 201, body: { ...presentToken(row), raw_token: raw }, headers };
      },
    }),
    route({
      method: "GET",
      path: "/auth/tokens",
      tag: TAG,
      summary: "Your personal access tokens that are not revoked, newest first",
      credential: "user",
      needs: "account",
      query: accessTokensQuerySchema,
      responses: { 200: accessTokensReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, query: { limit, cursor, workspace_id: workspaceId } }) => {
        const after = cursor === undefined ? null : decodeCursor(cursor, ["number", "string"]);
        const filter = { userId: principal.userId, workspaceId, after, limit: limit + 1 };
        const rows = await store.read((tx) => listTokens(tx, filter));
        const { page, nextCursor } = pageOf(rows, limit, byCreation);
        return { status: 200, body: { tokens: page.map(presentToken), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "GET",
      path: "/auth/tokens/current",
      tag: TAG,
      summary: "The personal access token that makes this call",
      credential: "user",
      needs: "identity",
      responses: { 200: accessTokenSchema },
      errors: ["not-found"],
      handle: async ({ principal: { token } }) => {
        const row = token && (await store.read((tx) => findToken(tx, token.id)));
        if (!row) throw new ApiError("not-found", "this call was not made with a personal access token");
        return { status: 200, body: presentToken(row) };
      },
    }),
    route({
      method: "DELETE",
      path: "/auth/tokens/{tokenId}",
      tag: TAG,
      summary: "Revoke a personal access token of yours, at once",
      credential: "user",
      needs: "account",
      audit: "access_token.revoked",
      params: accessTokenParamsSchema,
      responses: { 204: null },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { tokenId } }) => {
        const now = clock.now();
        await store.write(async (tx) => {
          const revoked = await revokeToken(tx, principal.userId, tokenId, now);
          if (!revoked) throw new ApiError("not-found", "you have no such token, or it is revoked already");
          await tx.audit(principal, {
            workspaceId: revoked.workspace_id,
            action: "access_token.revoked",
            target: { type: "access_token", id: revoked.id, name: revoked.name },
            details: { prefix: revoked.prefix },
          });
          tx.afterCommit(() => accessChanged({ tokenId }));
        });
        return { status: 204 };
      },
    }),
    route({
      method: "POST",
      path: "/auth/stream-tokens",
      tag: TAG,
      summary: "A ticket that opens one stream, once, within 60 seconds; for clients that cannot send headers",
      credential: "user",
      needs: "identity",
      body: createStreamTicketBodySchema,
      responses: { 201: createStreamTicketReplySchema },
      errors: ["forbidden", "rate-limited"],
      handle: async ({ principal, body }) => {
        const made = await tickets.create(principal, { path: body.path, workspaceId: body.workspace_id ?? null });
        const expiresAt = new Date(made.expiresAt).toISOString();
        const headers = { "cache-control": "no-store" };
        return { status: 201, body: { ticket: made.ticket, expires_at: expiresAt }, headers };
      },
    }),
  ];
}

function presentToken(row: AccessTokenRow): AccessToken {
  const { id, name, prefix, workspace_id } = row;
  return {
    id,
    name,
    prefix,
    workspace_id,
    abilities: JSON.parse(row.abilities) as string[],
    expires_at: row.expires_at === null ? null : new Date(row.expires_at).toISOString(),
    last_used_at: row.last_used_at === null ? null : new Date(row.last_used_at).toISOString(),
    created_at: new Date(row.created_at).toISOString(),
  };
}
