import {
  changeLimitsBodySchema,
  limitsReplySchema,
  usageQuerySchema,
  usageReplySchema,
  usageWindow,
} from "@shipfox/shared/api/usage";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { type Access, requireAbility } from "../../http/access.ts";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { iso } from "./present.ts";
import { changeLimit, effectiveLimit, type PlacesDeps } from "./run-places.ts";
import { readUsage } from "./usage.ts";

export interface UsageRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly places: PlacesDeps;
  /** Limits of the server that a workspace should know of. */
  readonly limits: {
    readonly maxSecretsPerWorkspace: number;
    readonly logRetentionDays: number;
    readonly maxArtifactBytes: number;
    readonly maxCacheBytes: number;
    readonly storedTriggerEvents: { readonly events: number; readonly bytes: number };
  };
}

const TAG = "Workspaces";
const inWorkspace = z.object({ workspaceId: id });

export function createUsageRoutes({ store, clock, access, places, limits }: UsageRoutesDeps): Route[] {
  return [
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/usage",
      tag: TAG,
      summary: "Runs, job minutes, stored logs, artifacts, caches and trigger events of a workspace, and its limits",
      credential: "user",
      needs: "runs:read",
      params: inWorkspace,
      query: usageQuerySchema,
      responses: { 200: usageReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId }, query }) => {
        const now = clock.now();
        const window = usageWindow(query, now);
        const limit = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return effectiveLimit(tx, places, workspaceId);
        });
        const body = {
          from: iso(window.from),
          to: iso(window.to),
          ...(await readUsage(store, workspaceId, window, now)),
          limits: {
            max_concurrent_runs: limit,
            max_secrets: limits.maxSecretsPerWorkspace,
            log_retention_days: limits.logRetentionDays,
            max_artifact_bytes: limits.maxArtifactBytes,
            max_cache_bytes: limits.maxCacheBytes,
            max_trigger_events: limits.storedTriggerEvents.events,
            max_trigger_event_bytes: limits.storedTriggerEvents.bytes,
          },
        };
        return { status: 200, body };
      },
    }),
    route({
      method: "PATCH",
      path: "/workspaces/{workspaceId}/limits",
      tag: TAG,
      summary: "Set how many runs of the workspace may be going at once; those that wait start in their order",
      credential: "user",
      needs: "settings:write",
      audit: "workspace.limits_changed",
      params: inWorkspace,
      body: changeLimitsBodySchema,
      responses: { 200: limitsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params: { workspaceId }, body: { max_concurrent_runs: limit } }) => {
        const now = clock.now();
        await store.write(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          const more = await changeLimit(tx, places, { workspaceId, limit, now });
          if (more) places.dispatch.dueAt(tx, now);
          await tx.audit(principal, {
            workspaceId,
            action: "workspace.limits_changed",
            target: { type: "workspace", id: workspaceId },
            details: { max_concurrent_runs: limit },
          });
        });
        return { status: 200, body: { max_concurrent_runs: limit ?? places.maxConcurrentRuns, own: limit !== null } };
      },
    }),
  ];
}
