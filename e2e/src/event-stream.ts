import type { StreamOptions } from "@shipfox/client/event-source";
import type { EventStreamItem } from "@shipfox/client/event-stream";
import type { ShownRunEvent } from "@shipfox/shared/api/events";
import type { LogRecord } from "@shipfox/shared/log-records";
import type { Api } from "./api.ts";

const FOLLOW_LIMIT_MS = 300_000;

type OpenStream = (after: string | undefined, options: StreamOptions) => AsyncIterable<EventStreamItem>;

/**
 * Follows a stream of events to its `end`, or until `isLast` says so; records of logs come by step. `breakEvery` leaves the
 * stream by itself after so many events, and opens it again behind the last one.
 */
export async function followEvents(
  open: OpenStream,
  options: { after?: string; isLast?: (event: ShownRunEvent) => boolean; breakEvery?: number } = {},
): Promise<{ events: ShownRunEvent[]; records: Map<string, LogRecord[]>; end: string | null }> {
  const { isLast = () => false, breakEvery = Number.POSITIVE_INFINITY } = options;
  const signal = AbortSignal.timeout(FOLLOW_LIMIT_MS);
  const events: ShownRunEvent[] = [];
  const records = new Map<string, LogRecord[]>();
  let { after } = options;
  while (!signal.aborted) {
    let seen = 0;
    for await (const item of open(after, { signal })) {
      if (item.kind === "end") return { events, records, end: item.status };
      if ("cursor" in item) after = item.cursor;
      if (item.kind === "log") {
        const { step_id, records: more } = item.log;
        records.set(step_id, [...(records.get(step_id) ?? []), ...more]);
      }
      if (item.kind !== "event") continue;
      events.push(item.event);
      if (isLast(item.event)) return { events, records, end: null };
      seen += 1;
      if (seen >= breakEvery) break;
    }
  }
  throw new Error(`the events were not over within ${FOLLOW_LIMIT_MS} ms; the last was ${after}`);
}

/** The number of the newest event of a workspace: that behind which a new stream begins. */
export async function lastEventId(api: Api, workspaceId: string): Promise<number> {
  const signal = AbortSignal.timeout(FOLLOW_LIMIT_MS);
  for await (const item of api.client.events.followWorkspace({ workspaceId }, { signal }))
    if (item.kind === "position") return Number(item.cursor);
  throw new Error("the stream has no first frame");
}
