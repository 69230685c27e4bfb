import {
  triggerEventDetailSchema,
  triggerEventsQuerySchema,
  triggerEventsReplySchema,
  triggerFacetsQuerySchema,
  triggerFacetsReplySchema,
} from "@shipfox/shared/api/trigger-events";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { type Access, requireAbility, requireVisible } from "../../http/access.ts";
import { decodeCursor, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import type { Store } from "../../store/store.ts";
import { decisionsOf } from "./decision-store.ts";
import { presentTriggerEvent, presentTriggerEventDetail } from "./present.ts";
import { facetOf, findTriggerEvent, listTriggerEvents } from "./store.ts";

export interface TriggerRoutesDeps {
  readonly store: Store;
  readonly access: Access;
}

const TAG = "Trigger events";

/** What came in from outside, whatever became of it. */
export function createTriggerRoutes({ store, access }: TriggerRoutesDeps): Route[] {
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
  ];
}

function noSuchEvent(): ApiError {
  return new ApiError("not-found", "there is no such trigger event; they are deleted when their time is over");
}
