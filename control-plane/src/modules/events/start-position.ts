import { ApiError } from "@shipfox/shared/errors";
import { newestEvent } from "../../store/newest-event.ts";
import type { Tx } from "../../store/store.ts";
import type { LogPlace } from "./run-logs.ts";
import { hasWholeRun, oldestEvent } from "./store.ts";
import type { Topic } from "./topics.ts";

/** What a reader has: the events up to a number, and so much of the logs that were open. */
export interface StreamCursor {
  readonly event: number;
  readonly logs: readonly LogPlace[];
}

/**
 * The cursor of the header, else of the query; null when the reader starts anew. `12`, or `12~10:4096~11:0` in a stream with
 * logs. Throws 400 `invalid-cursor`.
 */
export function readCursor(lastEventId: string | undefined, after: string | undefined): StreamCursor | null {
  const text = lastEventId || after;
  if (text === undefined || text === "") return null;
  if (!/^\d{1,15}(?:~\d{1,15}:\d{1,15})*$/.test(text)) throw invalidCursor();
  const [event = "", ...logs] = text.split("~");
  return {
    event: Number(event),
    logs: logs.map((place) => {
      const [startedBy, offset] = place.split(":").map(Number);
      return { startedBy: startedBy ?? 0, offset: offset ?? 0 };
    }),
  };
}

/**
 * Behind which event a reader starts: its cursor; without one a run is read from its first event, and anything else from
 * now on. Throws 410 `events-expired` when events behind the cursor were deleted, 400 `invalid-cursor` for one that is
 * ahead of everything that happened.
 */
export async function startPosition(tx: Tx, topic: Topic, workspaceId: string, cursor: number | null): Promise<number> {
  const newest = (await newestEvent(tx, workspaceId)) ?? 0;
  if (cursor === null) return topic.kind === "run" ? 0 : newest;
  if (cursor > newest) throw invalidCursor();
  const oldest = (await oldestEvent(tx, workspaceId)) ?? newest + 1;
  if (cursor + 1 >= oldest || (topic.kind === "run" && (await hasWholeRun(tx, topic.id)))) return cursor;
  throw new ApiError("events-expired", `events behind ${cursor} were deleted; the oldest that is kept is ${oldest}`, {
    details: { oldest_id: oldest },
  });
}

export function invalidCursor(): ApiError {
  return new ApiError("invalid-cursor", "the cursor is not the id of an event of this stream; start without one");
}
