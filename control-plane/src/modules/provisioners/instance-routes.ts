import {
  type RunnerInstance,
  runnerInstanceDetailSchema,
  runnerInstanceSchema,
  runnerInstancesQuerySchema,
  runnerInstancesReplySchema,
} from "@shipfox/shared/api/provisioners";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import type { InstanceState, TerminateReason } from "@shipfox/shared/provisioner";
import { z } from "zod";
import { type Access, requireAbility } from "../../http/access.ts";
import { byCreation, decodeCursor, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import { revokeRunner } from "../runners/public.ts";
import { findInstanceIn, listInstances, type OpenInstance, statesOf } from "./instance-store.ts";
import { drainInstance } from "./instances.ts";
import type { PollDeps } from "./poll-demand.ts";
import { timeOf } from "./time-of.ts";

export interface InstanceRoutesDeps extends PollDeps {
  readonly access: Access;
}

const TAG = "Provisioners";
const BASE = "/workspaces/{workspaceId}/runner-instances";
const inWorkspace = z.object({ workspaceId: id });
const oneInstance = z.object({ workspaceId: id, instanceId: id });

/** What provisioners started, for those who want to know or to end it by hand. */
export function createInstanceRoutes(deps: InstanceRoutesDeps): Route[] {
  const { store, clock, access, dispatch, waiters } = deps;
  const ports = { dispatch, forUpdate: store.sql.forUpdate };
  return [
    route({
      method: "GET",
      path: BASE,
      tag: TAG,
      summary: "The runner instances of a workspace, newest first",
      credential: "user",
      needs: "runs:read",
      params: inWorkspace,
      query: runnerInstancesQuerySchema,
      responses: { 200: runnerInstancesReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, params: { workspaceId }, query }) => {
        const before = query.cursor === undefined ? null : decodeCursor(query.cursor, ["number", "string"]);
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return listInstances(tx, {
            workspaceId,
            provisionerId: query.provisioner_id,
            open: query.open === "true",
            before,
            limit: query.limit,
          });
        });
        const { page, nextCursor } = pageOf(rows, query.limit, byCreation);
        return { status: 200, body: { runner_instances: page.map(present), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "GET",
      path: `${BASE}/{instanceId}`,
      tag: TAG,
      summary: "A runner instance with its history and the last of its console",
      credential: "user",
      needs: "runs:read",
      params: oneInstance,
      responses: { 200: runnerInstanceDetailSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { workspaceId, instanceId } }) => {
        const { instance, states } = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return {
            instance: await requireInstance(tx, workspaceId, instanceId),
            states: await statesOf(tx, instanceId),
          };
        });
        const history = states.map(({ state, reason, at }) => ({
          state: state as InstanceState,
          reason,
          at: new Date(at).toISOString(),
        }));
        return { status: 200, body: { ...present(instance), console_tail: instance.console_tail, history } };
      },
    }),
    route({
      method: "POST",
      path: `${BASE}/{instanceId}/drain`,
      tag: TAG,
      summary: "Give an instance no job and remove it; one that has its job finishes it first",
      credential: "user",
      needs: "runners:manage",
      audit: "runner_instance.drained",
      params: oneInstance,
      responses: { 200: runnerInstanceSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { workspaceId, instanceId } }) => {
        const now = clock.now();
        const instance = await store.write(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          const found = await requireInstance(tx, workspaceId, instanceId);
          await drainInstance(tx, ports, found, "drained", now);
          await tx.audit(principal, {
            workspaceId,
            action: "runner_instance.drained",
            target: { type: "runner_instance", id: instanceId, name: found.template_key },
          });
          tx.afterCommit(() => waiters.wake(workspaceId));
          return requireInstance(tx, workspaceId, instanceId);
        });
        return { status: 200, body: present(instance) };
      },
    }),
    route({
      method: "POST",
      path: `${BASE}/{instanceId}/terminate`,
      tag: TAG,
      summary: "Remove an instance now; a job that it has is queued again",
      credential: "user",
      needs: "runners:manage",
      audit: "runner_instance.terminated",
      params: oneInstance,
      responses: { 200: runnerInstanceSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { workspaceId, instanceId } }) => {
        const now = clock.now();
        const instance = await store.write(async (tx: WriteTx) => {
          await requireAbility(access, tx, principal, workspaceId);
          const found = await requireInstance(tx, workspaceId, instanceId);
          if (found.runner_id !== null && found.ended_at === null)
            await revokeRunner(tx, dispatch, workspaceId, found.runner_id, now);
          await drainInstance(tx, ports, found, "terminated_by_user", now);
          await tx.audit(principal, {
            workspaceId,
            action: "runner_instance.terminated",
            target: { type: "runner_instance", id: instanceId, name: found.template_key },
          });
          tx.afterCommit(() => waiters.wake(workspaceId));
          return requireInstance(tx, workspaceId, instanceId);
        });
        return { status: 200, body: present(instance) };
      },
    }),
  ];
}

async function requireInstance(tx: Tx, workspaceId: string, instanceId: string): Promise<OpenInstance> {
  const instance = await findInstanceIn(tx, workspaceId, instanceId);
  if (!instance) throw new ApiError("not-found", "the workspace has no such runner instance");
  return instance;
}

function present(row: OpenInstance): RunnerInstance {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    provisioner_id: row.provisioner_id,
    template_key: row.template_key,
    provider_kind: row.provider_kind,
    provider_runner_id: row.provider_runner_id,
    labels: JSON.parse(row.labels) as string[],
    state: row.state as InstanceState,
    reason: row.reason,
    terminate_reason: row.terminate_reason as TerminateReason | null,
    runner_id: row.runner_id,
    claimed: (row.claims_used ?? 0) > 0,
    registers_until: timeOf(row.due_at),
    registered_at: timeOf(row.registered_at),
    reported_at: timeOf(row.reported_at),
    created_at: new Date(row.created_at).toISOString(),
    ended_at: timeOf(row.ended_at),
  };
}
