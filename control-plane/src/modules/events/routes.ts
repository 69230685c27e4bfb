import {
  eventStreamQuerySchema,
  runEventsQuerySchema,
  runEventsReplySchema,
  runEventStreamQuerySchema,
} from "@shipfox/shared/api/events";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { presentEvent } from "../../events/event-text.ts";
import type { Access } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { decodeCursor, pageOf } from "../../http/cursor.ts";
import type { OpenStreams } from "../../http/open-streams.ts";
import { type Reply, type RequestFacts, type Route, route } from "../../http/route.ts";
import type { RunEvent, Tx } from "../../store/store.ts";
import { type EventStreamDeps, streamEvents } from "./event-stream.ts";
import { requireReadable } from "./readable-topic.ts";
import { RunLogs, type RunLogsDeps } from "./run-logs.ts";
import { invalidCursor, readCursor, startPosition, type StreamCursor } from "./start-position.ts";
import { findStepStart, listRunEvents } from "./store.ts";
import type { Topic } from "./topics.ts";

export interface EventRoutesDeps extends EventStreamDeps, RunLogsDeps {
  readonly access: Access;
  readonly streams: OpenStreams;
}

const TAG = "Events";
const runParams = z.object({ id });
const workspaceParams = z.object({ workspaceId: id });

export function createEventRoutes(deps: EventRoutesDeps): Route[] {
  const { store, access, streams } = deps;

  /** Where the stream of a topic begins, when the caller may read it, and with which logs. */
  function startOf(caller: Caller, topic: Topic, cursor: StreamCursor | null) {
    return store.read(async (tx) => {
      const workspaceId = await requireReadable(access, tx, caller, topic);
      const after = await startPosition(tx, topic, workspaceId, cursor?.event ?? null);
      const opened: { started: RunEvent; offset: number }[] = [];
      for (const { startedBy, offset } of cursor?.logs ?? []) {
        const started = startedBy <= after ? await findStepStart(tx, topic.id, startedBy) : null;
        if (!started) throw invalidCursor();
        opened.push({ started, offset });
      }
      return { topic, workspaceId, after, opened };
    });
  }

  async function reply(
    caller: Caller,
    request: RequestFacts,
    topic: Topic,
    options: { after?: string | undefined; logs?: boolean },
  ): Promise<Reply> {
    const start = await startOf(caller, topic, readCursor(request.header("last-event-id"), options.after));
    const check = async (tx: Tx) => void (await requireReadable(access, tx, caller, topic));
    const stream = { caller, workspaceId: start.workspaceId, check };
    return streams.reply(request, stream, (sse) => {
      if (!options.logs) return streamEvents(deps, start, sse);
      const logs = new RunLogs(deps, topic.id, sse, start.after);
      for (const { started, offset } of start.opened) logs.follow(started, offset);
      streamEvents(deps, start, sse, logs);
    });
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
          await requireReadable(access, tx, principal, { kind: "run", id: params.id });
          return listRunEvents(tx, { runId: params.id, after, types, limit: limit + 1 });
        });
        const { page, nextCursor } = pageOf(events, limit, (event) => [event.id]);
        return { status: 200, body: { events: page.map(presentEvent), next_cursor: nextCursor } };
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
      query: runEventStreamQuerySchema,
      responses: { 200: "sse" },
      errors: ["not-found", "forbidden", "invalid-cursor", "events-expired", "too-many-streams"],
      handle: ({ principal, params, query, request }) =>
        reply(principal, request, { kind: "run", id: params.id }, query),
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
      handle: ({ principal, params, query, request }) =>
        reply(principal, request, { kind: "workspace", id: params.workspaceId }, query),
    }),
  ];
}
