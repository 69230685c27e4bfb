import type { Logger } from "@shipfox/shared/logger";
import type { SseStream } from "../../http/sse.ts";
import type { Clock } from "../../store/clock.ts";
import { type FollowDeps, followEvents } from "./follow-events.ts";
import type { Topic } from "./topics.ts";

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

/** Sends a topic as server-sent events: `connected`, then each event, and `end` when it is a run that is over. */
export function streamEvents(deps: EventStreamDeps, start: EventStreamStart, sse: SseStream): void {
  const { clock, log } = deps;
  const note = (id: number, type: string, payload: object): void => {
    sse.send({ id, event: type, data: JSON.stringify(streamNote(start.topic, { id, type, payload }, clock.now())) });
  };
  note(start.after, "connected", { workspace_id: start.workspaceId });
  const sink = {
    get closed() {
      return sse.closed;
    },
    write: (batch: { readonly frames: Buffer }) => sse.write(batch.frames),
    drained: () => sse.drained(),
    onClose: (callback: () => void) => sse.onClose(callback),
  };
  followEvents(deps, start, sink).then(
    (end) => {
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
