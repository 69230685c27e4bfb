import { eventStreamQuerySchema, runEventsQuerySchema, runEventsReplySchema } from "@shipfox/shared/api/events";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { presentEvent } from "../../events/event-text.ts";
import { type Access, requireAbility, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import type { OpenStreams } from "../../http/open-streams.ts";
import { type Route, route } from "../../http/route.ts";
import type { Tx } from "../../store/store.ts";
import { findRun } from "../runs/public.ts";
import { type EventStreamDeps, streamEvents } from "./event-stream.ts";
import { readCursor, startPosition } from "./start-position.ts";
import { listRunEvents } from "./store.ts";

export interface EventRoutesDeps extends EventStreamDeps {
  readonly access: Access;
  readonly streams: OpenStreams;
}

const TAG = "Events";
const runParams = z.object({ id });
const workspaceParams = z.object({ workspaceId: id });

export function createEventRoutes(deps: EventRoutesDeps): Route[] {
  const { store, access, streams } = deps;

  /** The workspace of a run that the caller may read. */
  async function workspaceOfRun(tx: Tx, caller: Caller, runId: string): Promise<string> {
    const run = await findRun(tx, runId);
    if (!run) throw noSuchRun();
    await requireVisible(access, tx, caller, run.workspace_id, noSuchRun);
    return run.workspace_id;
  }

  return [
    route({
      method: "GET",
      path: "/workflows/runs/{id}/events",
      tag: TAG,
      summary: "What happened in a run, oldest first",
      credential: "user",
      needs: "runs:read",
      params: runParams,
      query: runEventsQuerySchema,
      responses: { 200: runEventsReplySchema },
      errors: ["not-found", "forbidden", "invalid-cursor"],
      handle: async ({ principal, params, query: { limit, cursor, types } }) => {
        const [after] = cursor === undefined ? [0] : decodeCursor(cursor, ["number"]);
        const events = await store.read(async (tx) => {
          await workspaceOfRun(tx, principal, params.id);
          return listRunEvents(tx, { runId: params.id, after, types, limit: limit + 1 });
        });
        const page = events.slice(0, limit);
        const last = page.at(-1);
        const next = events.length > limit && last ? encodeCursor([last.id]) : null;
        return { status: 200, body: { events: page.map(presentEvent), next_cursor: next } };
      },
    }),
    route({
      method: "GET",
      path: "/workflows/runs/{id}/events/stream",
      tag: TAG,
      summary: "What happened in a run and what happens, as server-sent events up to its end",
      credential: "user",
      needs: "runs:read",
      params: runParams,
      query: eventStreamQuerySchema,
      responses: { 200: "sse" },
      errors: ["not-found", "forbidden", "invalid-cursor", "events-expired", "too-many-streams"],
      handle: async ({ principal, params, query, request }) => {
        const cursor = readCursor(request.header("last-event-id"), query.after);
        const topic = { kind: "run", id: params.id } as const;
        const start = await store.read(async (tx) => {
          const workspaceId = await workspaceOfRun(tx, principal, params.id);
          return { topic, workspaceId, after: await startPosition(tx, topic, workspaceId, cursor) };
        });
        const check = async (tx: Tx) => void (await workspaceOfRun(tx, principal, params.id));
        const stream = { caller: principal, workspaceId: start.workspaceId, check };
        return streams.reply(request, stream, (sse) => streamEvents(deps, start, sse));
      },
    }),
    route({
      method: "GET",
      path: "/workspaces/{workspaceId}/events/stream",
      tag: TAG,
      summary: "What happens in a workspace from now on, or from a cursor, as server-sent events",
      credential: "user",
      needs: "runs:read",
      params: workspaceParams,
      query: eventStreamQuerySchema,
      responses: { 200: "sse" },
      errors: ["forbidden", "invalid-cursor", "events-expired", "too-many-streams"],
      handle: async ({ principal, params: { workspaceId }, query, request }) => {
        const cursor = readCursor(request.header("last-event-id"), query.after);
        const topic = { kind: "workspace", id: workspaceId } as const;
        const check = (tx: Tx) => requireAbility(access, tx, principal, workspaceId);
        const start = await store.read(async (tx) => {
          await check(tx);
          return { topic, workspaceId, after: await startPosition(tx, topic, workspaceId, cursor) };
        });
        const stream = { caller: principal, workspaceId, check };
        return streams.reply(request, stream, (sse) => streamEvents(deps, start, sse));
      },
    }),
  ];
}

function noSuchRun(): ApiError {
  return new ApiError("not-found", "there is no such run that you may see");
}
