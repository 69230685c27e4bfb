import {
  approveTriggerEventBodySchema,
  triggerEventDetailSchema,
  triggerEventSchema,
  triggerEventsQuerySchema,
  triggerEventsReplySchema,
  triggerFacetsQuerySchema,
  triggerFacetsReplySchema,
} from "@shipfox/shared/api/trigger-events";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { requireAbility, requireVisible } from "../../http/access.ts";
import { decodeCursor, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import { approveTriggerEvent } from "./approve.ts";
import { decisionsOf } from "./decision-store.ts";
import { presentTriggerEvent, presentTriggerEventDetail } from "./present.ts";
import { noSuchEvent, type ReplayDeps, replayTriggerEvent } from "./replay.ts";
import { facetOf, findTriggerEvent, listTriggerEvents } from "./store.ts";

export interface TriggerRoutesDeps extends ReplayDeps {}

const TAG = "Trigger events";

/** What came in from outside, whatever became of it. */
export function createTriggerRoutes(deps: TriggerRoutesDeps): Route[] {
  const { store, access } = deps;
  return [
    route({
      method: "GET",
      path: "/trigger-events",
      tag: TAG,
      summary: "What came into a workspace, newest first, without payloads",
      credential: "user",
      needs: "runs:read",
      query: triggerEventsQuerySchema,
      responses: { 200: triggerEventsReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, query }) => {
        const before = query.cursor === undefined ? null : decodeCursor(query.cursor, ["number", "string"]);
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, query.workspace_id);
          return listTriggerEvents(tx, query, before);
        });
        const { page, nextCursor } = pageOf(rows, query.limit, (row) => [row.received_at, row.id]);
        return { status: 200, body: { trigger_events: page.map(presentTriggerEvent), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "GET",
      path: "/trigger-events/facets",
      tag: TAG,
      summary: "The most frequent sources and events of a workspace",
      credential: "user",
      needs: "runs:read",
      query: triggerFacetsQuerySchema,
      responses: { 200: triggerFacetsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, query: { workspace_id: workspaceId } }) => {
        await store.read((tx) => requireAbility(access, tx, principal, workspaceId));
        const sources = await facetOf(store, workspaceId, "source");
        const events = await facetOf(store, workspaceId, "event");
        return { status: 200, body: { sources, events } };
      },
    }),
    route({
      method: "GET",
      path: "/trigger-events/{eventId}",
      tag: TAG,
      summary: "One event with its payload and what each subscription made of it",
      credential: "user",
      needs: "runs:read",
      params: z.object({ eventId: id }),
      responses: { 200: triggerEventDetailSchema },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params: { eventId } }) => {
        const row = await store.read(async (tx) => {
          const found = await findTriggerEvent(tx, eventId);
          if (!found) throw noSuchEvent();
          await requireVisible(access, tx, principal, found.workspace_id, noSuchEvent);
          return { found, decisions: await decisionsOf(tx, eventId) };
        });
        return { status: 200, body: presentTriggerEventDetail(row.found, row.decisions) };
      },
    }),
    route({
      method: "POST",
      path: "/trigger-events/{eventId}/replay",
      tag: TAG,
      summary: "Route an event once more: what matches now starts a run again",
      credential: "user",
      needs: "runs:start",
      audit: "trigger-event.replayed",
      params: z.object({ eventId: id }),
      responses: { 202: triggerEventSchema },
      errors: ["forbidden", "not-found", "trigger-event-pending", "trigger-event-not-replayable"],
      handle: async ({ principal, params: { eventId } }) => ({
        status: 202,
        body: presentTriggerEvent(await replayTriggerEvent(deps, principal, eventId)),
      }),
    }),
    route({
      method: "POST",
      path: "/trigger-events/{eventId}/approve",
      tag: TAG,
      summary: "Let what somebody without rights made start its runs, of this commit and these workflows",
      credential: "user",
      needs: "runs:start",
      audit: "trigger-event.approved",
      params: z.object({ eventId: id }),
      body: approveTriggerEventBodySchema,
      responses: { 202: triggerEventSchema },
      errors: ["forbidden", "not-found", "approval-not-waiting", "approval-outdated"],
      handle: async ({ principal, params: { eventId }, body: { commit, workflows_hash: workflowsHash } }) => {
        const request = { caller: principal, eventId, commit, workflowsHash };
        return { status: 202, body: presentTriggerEvent(await approveTriggerEvent(deps, request)) };
      },
    }),
  ];
}
