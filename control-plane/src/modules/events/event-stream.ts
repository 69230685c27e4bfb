import type { Logger } from "@shipfox/shared/logger";
import type { SseStream } from "../../http/sse.ts";
import type { Clock } from "../../store/clock.ts";
import { type FollowDeps, followEvents } from "./follow-events.ts";
import type { EventBatch } from "./event-batch.ts";
import type { RunLogs } from "./run-logs.ts";
import type { Topic } from "./topics.ts";

/** Events read at once beside logs: each of them may open one. */
const PAGE_WITH_LOGS = 50;

export interface EventStreamDeps extends FollowDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

export interface EventStreamStart {
  readonly topic: Topic;
  readonly workspaceId: string;
  /** The number of the last event that the reader has. */
  readonly after: number;
}

/**
 * Sends a topic as server-sent events: `connected`, then each event, and `end` when it is a run that is over, after its
 * logs when it is sent with them.
 */
export function streamEvents(deps: EventStreamDeps, start: EventStreamStart, sse: SseStream, logs?: RunLogs): void {
  const { clock, log } = deps;
  const note = (id: number, type: string, payload: object): void => {
    const data = JSON.stringify(streamNote(start.topic, { id, type, payload }, clock.now()));
    sse.send({ id: logs?.cursor ?? id, event: type, data });
  };
  note(start.after, "connected", { workspace_id: start.workspaceId });
  const sink = {
    get closed() {
      return sse.closed;
    },
    write: (batch: EventBatch) => (logs ? writeBeside(logs, batch, sse) : sse.write(batch.frames)),
    drained: async () => {
      await logs?.room();
      await sse.drained();
    },
    onClose: (callback: () => void) => sse.onClose(callback),
  };
  const following = followEvents(deps, logs ? { ...start, page: PAGE_WITH_LOGS } : start, sink);
  following.then(
    async (end) => {
      await logs?.ended();
      if (typeof end === "object") note(end.last, "end", { status: end.status });
      sse.end();
    },
    (error: unknown) => {
      // The reader comes back with its cursor.
      log.warn({ err: error, topic: start.topic }, "events could not be followed to their end");
      sse.end();
    },
  );
}

/** Each event with the cursor of the logs in its id, and the log of each step that starts. */
function writeBeside(logs: RunLogs, batch: EventBatch, sse: SseStream): boolean {
  let hasRoom = true;
  for (const [at, event] of batch.events.entries()) {
    logs.note(event);
    hasRoom = sse.send({ id: logs.cursor, event: event.type, data: batch.texts[at] as string });
  }
  return hasRoom && !logs.isFull;
}

/** What a stream says of itself, in the form of an event. */
export function streamNote(
  topic: Topic,
  note: { readonly id: number; readonly type: string; readonly payload: object },
  now: number,
): object {
  const { id, type, payload } = note;
  const runId = topic.kind === "run" ? topic.id : null;
  return { id, type, run_id: runId, created_at: new Date(now).toISOString(), payload };
}
