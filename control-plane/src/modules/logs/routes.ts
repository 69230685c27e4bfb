import { logPageSchema, logParamsSchema, logQuerySchema, logStreamQuerySchema } from "@shipfox/shared/api/logs";
import { ApiError } from "@shipfox/shared/errors";
import type { Logger } from "@shipfox/shared/logger";
import { requireVisible } from "../../http/access.ts";
import { parseRange } from "../../http/byte-range.ts";
import type { OpenStreams } from "../../http/open-streams.ts";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { Tx } from "../../store/store.ts";
import { findAttempt, type FindDeps, noSuchLog } from "./find-attempt.ts";
import { streamLog } from "./log-stream.ts";
import type { Logs } from "./logs.ts";
import { readOutput } from "./read-output.ts";
import { LogPages } from "./log-pages.ts";
import { replyWithRange } from "./byte-range.ts";
import { requireRecordBoundary } from "./read-records.ts";

export interface LogRoutesDeps extends FindDeps {
  readonly logs: Logs;
  readonly clock: Clock;
  readonly streams: OpenStreams;
  readonly log: Logger;
}

const PATH = "/steps/{stepId}/attempts/{attempt}/logs";

export function createLogRoutes(deps: LogRoutesDeps): Route[] {
  const { logs, clock, log, streams } = deps;
  const pages = new LogPages(logs);
  return [
    route({
      method: "GET",
      path: PATH,
      tag: "Logs",
      summary: "A page of a step attempt's log",
      credential: "user",
      needs: "runs:read",
      params: logParamsSchema,
      query: logQuerySchema,
      responses: { 200: logPageSchema },
      errors: ["not-found", "invalid-cursor"],
      hot: true,
      handle: async ({ principal, params, query }) => {
        const attempt = await findAttempt(deps, principal, params.stepId, params.attempt);
        return await pages.reply(attempt, query.cursor, clock.now());
      },
    }),
    route({
      method: "GET",
      path: `${PATH}/stream`,
      tag: "Logs",
      summary: "A step attempt's log from its start or a cursor, and everything that follows, as server-sent events",
      credential: "user",
      needs: "runs:read",
      params: logParamsSchema,
      query: logStreamQuerySchema,
      responses: { 200: "sse" },
      errors: ["not-found", "forbidden", "invalid-cursor", "too-many-streams"],
      handle: async ({ principal, params, query, request }) => {
        const cursor = lastEventId(request.header("last-event-id")) ?? query.cursor;
        const find = () => findAttempt(deps, principal, params.stepId, params.attempt);
        const attempt = await find();
        const { workspaceId } = attempt;
        if (typeof attempt.found !== "string") {
          const { stored } = await logs.streams.state(attempt.found);
          await requireRecordBoundary(logs.files, attempt.found, { cursor, end: stored });
        }
        const check = (tx: Tx) => requireVisible(deps.access, tx, principal, workspaceId, noSuchLog);
        return streams.reply(request, { caller: principal, workspaceId, check }, (sse) => {
          streamLog(logs, sse, { attempt, cursor, find, now: () => clock.now() }).catch((error: unknown) => {
            log.warn(
              { err: error, step_id: params.stepId, attempt: params.attempt },
              "a log could not be followed to its end",
            );
            sse.end();
          });
        });
      },
    }),
    route({
      method: "GET",
      path: `${PATH}/raw`,
      tag: "Logs",
      summary: "What a step attempt printed so far, as text",
      credential: "user",
      needs: "runs:read",
      params: logParamsSchema,
      responses: { 200: "text", 206: "text" },
      errors: ["not-found", "forbidden", "range-not-satisfiable"],
      handle: async ({ principal, params, request }) => {
        const { found } = await findAttempt(deps, principal, params.stepId, params.attempt);
        if (found === "never" || found === "not-yet") throw noSuchLog();
        if (typeof found === "string") return { status: 200, body: "" };
        // Nothing names a version of the text, so a condition cannot be met and the whole is sent.
        const wanted = request.header("if-range") === undefined ? parseRange(request.header("range")) : null;
        const text = () => reported(readOutput(logs, found, clock.now()), log);
        if (wanted === null) return { status: 200, headers: { "accept-ranges": "bytes" }, chunks: text() };
        return replyWithRange(text, wanted);
      },
    }),
  ];
}

async function* reported(chunks: AsyncIterable<string>, log: Logger): AsyncGenerator<string> {
  try {
    yield* chunks;
  } catch (error) {
    log.error({ err: error }, "a log could not be read to its end");
    throw error;
  }
}

/** What an interrupted reader sends; null when it sends nothing. */
function lastEventId(header: string | undefined): number | null {
  if (header === undefined || header === "") return null;
  const cursor = /^\d+$/.test(header) ? Number(header) : Number.NaN;
  if (!Number.isSafeInteger(cursor))
    throw new ApiError("invalid-cursor", "expected a Last-Event-ID that this stream sent as an id");
  return cursor;
}
