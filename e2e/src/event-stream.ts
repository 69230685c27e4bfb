import { logEventSchema, runEventSchema, type ShownRunEvent } from "@shipfox/shared/api/events";
import type { LogRecord } from "@shipfox/shared/log-records";
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { Api } from "./api.ts";
import { eventually } from "./eventually.ts";

const FOLLOW_LIMIT_MS = 300_000;

/**
 * Follows a stream of events over any number of connections, as a browser would: from the last id, again and again. Each
 * event is checked against its schema; records of logs come by step. Ends with the frame `end`, or when `isLast` says so; `breakEvery` breaks the
 * connection by itself after so many events.
 */
export async function followEvents(
  api: Api,
  path: string,
  options: { after?: number; isLast?: (event: ShownRunEvent) => boolean; breakEvery?: number } = {},
): Promise<{ events: ShownRunEvent[]; records: Map<string, LogRecord[]>; end: string | null }> {
  const { isLast = () => false, breakEvery = Number.POSITIVE_INFINITY } = options;
  const events: ShownRunEvent[] = [];
  let lastId = options.after === undefined ? "" : String(options.after);
  const records = new Map<string, LogRecord[]>();
  let end: string | null = null;
  await eventually(
    `${path} is followed to its end`,
    async () => {
      const abort = new AbortController();
      const response = await fetch(api.url + path, {
        headers: { authorization: `Bearer ${api.token}`, ...(lastId === "" ? {} : { "last-event-id": lastId }) },
        signal: AbortSignal.any([abort.signal, AbortSignal.timeout(FOLLOW_LIMIT_MS)]),
      });
      if (!response.ok || !response.body) throw new Error(`stream: ${response.status} ${await response.text()}`);
      let seen = 0;
      const frames = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const frame of frames) {
        if (frame.id !== undefined) lastId = frame.id;
        if (frame.event === "connected") continue;
        if (frame.event === "end") {
          end = (JSON.parse(frame.data) as { payload: { status: string } }).payload.status;
          return true;
        }
        if (frame.event === "log") {
          const { payload } = logEventSchema.parse(JSON.parse(frame.data));
          records.set(payload.step_id, [...(records.get(payload.step_id) ?? []), ...payload.records]);
          continue;
        }
        const event = runEventSchema.parse(JSON.parse(frame.data));
        events.push(event);
        if (isLast(event)) return true;
        seen += 1;
        if (seen >= breakEvery) break;
      }
      abort.abort();
      return false;
    },
    { limitMs: FOLLOW_LIMIT_MS },
  );
  return { events, records, end };
}

/** The number of the newest event of a workspace: that behind which a new stream begins. */
export async function lastEventId(api: Api, path: string): Promise<number> {
  const abort = new AbortController();
  const response = await fetch(api.url + path, {
    headers: { authorization: `Bearer ${api.token}` },
    signal: AbortSignal.any([abort.signal, AbortSignal.timeout(FOLLOW_LIMIT_MS)]),
  });
  const frames = response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const frame of frames ?? []) {
    abort.abort();
    return Number(frame.id);
  }
  throw new Error(`${path}: the stream has no first frame`);
}
