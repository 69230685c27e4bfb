import {
  activeRunnersReplySchema,
  createRegistrationTokenBodySchema,
  createRegistrationTokenReplySchema,
  registrationTokenSchema,
  registrationTokensReplySchema,
  revokeRegistrationTokenQuerySchema,
  runnerSchema,
  runnersReplySchema,
} from "@shipfox/shared/api/runners";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { route, type Route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { RegistrationTokenRow } from "../../store/schema.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import type { Dispatch } from "../dispatch/public.ts";
import { drainRunner, listActiveRunners, listRunners, revokeRunner, revokeRunnersOf } from "./manage-runners.ts";
import {
  insertRegistrationToken,
  makeRegistrationToken,
  revokeRegistrationToken,
  usableRegistrationTokens,
} from "./registration-tokens.ts";

export interface UserRunnerRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly dispatch: Dispatch;
  /** Our own version. */
  readonly version: string;
}

const inWorkspace = z.object({ workspaceId: id });
const oneToken = z.object({ workspaceId: id, tokenId: id });
const oneRunner = z.object({ workspaceId: id, runnerId: id });

export function createUserRunnerRoutes(deps: UserRunnerRoutesDeps): Route[] {
  const { store, clock, access, dispatch, version } = deps;

  const change = async (
    caller: Caller,
    { workspaceId, runnerId }: { workspaceId: string; runnerId: string },
    action: "runner.drained" | "runner.revoked",
  ) => {
    const now = clock.now();
    const act = action === "runner.drained" ? drainRunner : revokeRunner;
    await store.write(async (tx: WriteTx) => {
      await requireAbility(access, tx, caller, workspaceId);
      await act(tx, dispatch, workspaceId, runnerId, now);
      await tx.audit(caller, { workspaceId, action, target: { type: "runner", id: runnerId } });
    });
    const runners = await store.read((tx) => listRunners(tx, dispatch, workspaceId, { version, now }));
    const changed = runners.find((runner) => runner.id === runnerId);
    if (!changed) throw new ApiError("not-found", "the runner was removed meanwhile");
    return { status: 200, body: changed };
  };

  const read = <T>(
    caller: Caller,
    workspaceId: string,
    query: (tx: Parameters<typeof listRunners>[0], now: number) => Promise<T>,
  ) =>
    store.read(async (tx) => {
      await requireAbility(access, tx, caller, workspaceId);
      return query(tx, clock.now());
    });

  return [
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/runners/manual-registration-tokens",
      tag: "Runners",
      summary: "Make a token with which runners register; the raw token is shown once",
      credential: "user",
      needs: "runners:manage",
      audit: "registration_token.created",
      params: inWorkspace,
      body: createRegistrationTokenBodySchema,
      responses: { 201: createRegistrationTokenReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId }, body }) => {
        const made = makeRegistrationToken(
          {
            workspaceId,
            name: body.name ?? null,
            ttlSeconds: body.ttl_seconds ?? null,
            maxUses: body.max_uses ?? null,
            createdBy: principal.userId,
          },
          clock.now(),
        );
        await store.write(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          await insertRegistrationToken(tx, made.row);
          await tx.audit(principal, {
            workspaceId,
            action: "registration_token.created",
            target: { type: "registration_token", id: made.row.id, name: made.row.name },
          });
        });
        return {
          status: 201,
          headers: { "cache-control": "no-store" },
          body: { ...presentToken(made.row), raw_token: made.raw },
        };
      },
    }),
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/runners/manual-registration-tokens",
      tag: "Runners",
      summary: "Registration tokens that can still be used, newest first",
      credential: "user",
      needs: "runners:manage",
      params: inWorkspace,
      responses: { 200: registrationTokensReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => {
        const rows = await read(principal, workspaceId, (tx, now) => usableRegistrationTokens(tx, workspaceId, now));
        return { status: 200, body: { manual_registration_tokens: rows.map(presentToken) } };
      },
    }),
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/runners/manual-registration-tokens/{tokenId}/revoke",
      tag: "Runners",
      summary: "Let no more runners register with a token; with cascade also revoke those that did",
      credential: "user",
      needs: "runners:manage",
      audit: "registration_token.revoked",
      params: oneToken,
      query: revokeRegistrationTokenQuerySchema,
      responses: { 200: registrationTokenSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { workspaceId, tokenId }, query }) => {
        const now = clock.now();
        const row = await store.write(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          const revoked = await revokeRegistrationToken(tx, workspaceId, tokenId, now);
          if (!revoked) throw new ApiError("not-found", "the workspace has no such registration token");
          if (query.cascade === "true") await revokeRunnersOf(tx, dispatch, workspaceId, tokenId, now);
          await tx.audit(principal, {
            workspaceId,
            action: "registration_token.revoked",
            target: { type: "registration_token", id: tokenId, name: revoked.name },
            details: { cascade: query.cascade === "true" },
          });
          return revoked;
        });
        return { status: 200, body: presentToken(row) };
      },
    }),
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/runners",
      tag: "Runners",
      summary: "The runners of a workspace with what they are doing",
      credential: "user",
      needs: "runs:read",
      params: inWorkspace,
      responses: { 200: runnersReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => ({
        status: 200,
        body: {
          runners: await read(principal, workspaceId, (tx, now) =>
            listRunners(tx, dispatch, workspaceId, { version, now }),
          ),
        },
      }),
    }),
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/runners/active",
      tag: "Runners",
      summary: "Runners heard from in the last minute; a busy one with its job",
      credential: "user",
      needs: "runs:read",
      params: inWorkspace,
      responses: { 200: activeRunnersReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId } }) => ({
        status: 200,
        body: {
          runners: await read(principal, workspaceId, (tx, now) => listActiveRunners(tx, dispatch, workspaceId, now)),
        },
      }),
    }),
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/runners/{runnerId}/drain",
      tag: "Runners",
      summary: "Let a runner finish what it has and give it nothing more",
      credential: "user",
      needs: "runners:manage",
      audit: "runner.drained",
      params: oneRunner,
      responses: { 200: runnerSchema },
      errors: ["forbidden", "not-found"],
      handle: ({ principal, params }) => change(principal, params, "runner.drained"),
    }),
    route({
      method: "POST",
      path: "/workspaces/{workspaceId}/runners/{runnerId}/revoke",
      tag: "Runners",
      summary: "Shut a runner out at once; its jobs are queued again",
      credential: "user",
      needs: "runners:manage",
      audit: "runner.revoked",
      params: oneRunner,
      responses: { 200: runnerSchema },
      errors: ["forbidden", "not-found"],
      handle: ({ principal, params }) => change(principal, params, "runner.revoked"),
    }),
  ];
}

function presentToken(row: RegistrationTokenRow) {
  const iso = (milliseconds: number) => new Date(milliseconds).toISOString();
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    prefix: row.prefix,
    name: row.name,
    max_uses: row.max_uses,
    uses: row.uses,
    expires_at: row.expires_at === null ? null : iso(row.expires_at),
    revoked_at: row.revoked_at === null ? null : iso(row.revoked_at),
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
  };
}
