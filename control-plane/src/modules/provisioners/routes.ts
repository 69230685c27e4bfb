import {
  type ActiveProvisioner,
  activeProvisionersReplySchema,
  createProvisionerTokenBodySchema,
  createProvisionerTokenReplySchema,
  type ProvisionerToken,
  provisionerTokenSchema,
  provisionerTokensReplySchema,
} from "@shipfox/shared/api/provisioners";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { hashToken, newToken, tokenPrefix } from "@shipfox/shared/tokens";
import { z } from "zod";
import { type Access, requireAbility } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { ProvisionerPoolRow, ProvisionerTokenRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import type { DemandWaiters } from "./demand-waiters.ts";
import { livePools, templatesOf } from "./pool-store.ts";
import { dropReservationsOf } from "./reservation-store.ts";
import { timeOf } from "./time-of.ts";
import { insertToken, listActive, listTokens, revokeToken } from "./store.ts";

export interface ProvisionerRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly waiters: DemandWaiters;
}

const TAG = "Provisioners";
/** A provisioner is active while it called this recently. Source: the published API. */
const ACTIVE_WINDOW_MS = 120_000;
const SECOND_MS = 1_000;
const BASE = "/workspaces/{workspaceId}/provisioners";
const inWorkspace = z.object({ workspaceId: id });
const oneToken = z.object({ workspaceId: id, tokenId: id });

export function createProvisionerRoutes({ store, clock, access, waiters }: ProvisionerRoutesDeps): Route[] {
  return [
    route({
      method: "POST",
      path: `${BASE}/tokens`,
      tag: TAG,
      summary: "Make a token for a provisioner; the raw token is shown once",
      credential: "user",
      needs: "runners:manage",
      audit: "provisioner_token.created",
      params: inWorkspace,
      body: createProvisionerTokenBodySchema,
      responses: { 201: createProvisionerTokenReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        const now = clock.now();
        const raw = newToken("pt");
        const row: ProvisionerTokenRow = {
          id: newId(now),
          workspace_id: workspaceId,
          name: body.name ?? null,
          prefix: tokenPrefix(raw),
          token_hash: hashToken(raw),
          expires_at: body.ttl_seconds === undefined ? null : now + body.ttl_seconds * SECOND_MS,
          revoked_at: null,
          created_by_user_id: principal.userId,
          revoked_by_user_id: null,
          last_seen_at: null,
          created_at: now,
          updated_at: now,
        };
        await store.write(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          await insertToken(tx, row);
          await tx.audit(principal, {
            workspaceId,
            action: "provisioner_token.created",
            target: { type: "provisioner_token", id: row.id, name: row.name },
          });
        });
        return {
          status: 201,
          headers: { "cache-control": "no-store" },
          body: { ...presentToken(row), raw_token: raw },
        };
      },
    }),
    route({
      method: "GET",
      path: `${BASE}/tokens`,
      tag: TAG,
      summary: "The provisioner tokens of a workspace, revoked and expired ones too, newest first",
      credential: "user",
      needs: "runners:manage",
      params: inWorkspace,
      responses: { 200: provisionerTokensReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => {
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return listTokens(tx, workspaceId);
        });
        return { status: 200, body: { tokens: rows.map(presentToken) } };
      },
    }),
    route({
      method: "POST",
      path: `${BASE}/tokens/{tokenId}/revoke`,
      tag: TAG,
      summary: "Let no provisioner work with a token any more; safe to repeat",
      credential: "user",
      needs: "runners:manage",
      audit: "provisioner_token.revoked",
      params: oneToken,
      responses: { 200: provisionerTokenSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params }) => {
        const by = { userId: principal.userId, now: clock.now() };
        const row = await store.write(async (tx) => {
          await requireAbility(access, tx, principal, params.workspaceId);
          const revoked = await revokeToken(tx, params, by);
          if (!revoked) throw new ApiError("not-found", "the workspace has no such provisioner token");
          await dropReservationsOf(tx, params.tokenId);
          tx.afterCommit(() => waiters.wake(params.workspaceId));
          await tx.audit(principal, {
            workspaceId: params.workspaceId,
            action: "provisioner_token.revoked",
            target: { type: "provisioner_token", id: params.tokenId, name: revoked.name },
          });
          return revoked;
        });
        return { status: 200, body: presentToken(row) };
      },
    }),
    route({
      method: "GET",
      path: `${BASE}/active`,
      tag: TAG,
      summary: "The provisioners that called within the last two minutes with their templates, the last first",
      credential: "user",
      needs: "runs:read",
      params: inWorkspace,
      responses: { 200: activeProvisionersReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => {
        const now = clock.now();
        const { rows, pools } = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return {
            rows: await listActive(tx, workspaceId, now - ACTIVE_WINDOW_MS),
            pools: await livePools(tx, workspaceId, now),
          };
        });
        const poolOf = new Map(pools.map((pool) => [pool.provisioner_id, pool]));
        const provisioners = rows.map((row) => presentActive(row, poolOf.get(row.id), now));
        return { status: 200, body: { provisioners } };
      },
    }),
  ];
}

function presentActive(
  { id: tokenId, name, prefix, last_seen_at: seenAt }: ProvisionerTokenRow,
  pool: ProvisionerPoolRow | undefined,
  now: number,
): ActiveProvisioner {
  return {
    id: tokenId,
    name,
    prefix,
    // Those that never called are not listed.
    last_seen_at: new Date(seenAt ?? now).toISOString(),
    host: (pool?.held_until ?? 0) > now ? (pool?.holder_host ?? null) : null,
    templates: pool ? templatesOf(pool) : [],
  };
}

function presentToken(row: ProvisionerTokenRow): ProvisionerToken {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    prefix: row.prefix,
    name: row.name,
    scope: "workspace",
    expires_at: timeOf(row.expires_at),
    revoked_at: timeOf(row.revoked_at),
    created_by_user_id: row.created_by_user_id,
    revoked_by_user_id: row.revoked_by_user_id,
    last_seen_at: timeOf(row.last_seen_at),
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}
