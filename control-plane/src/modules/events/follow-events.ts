import type { RunStatus } from "@shipfox/shared/api/runs";
import { newestEvent } from "../../store/newest-event.ts";
import type { RunEvent, Store, Tx } from "../../store/store.ts";
import { EventBatch } from "./event-batch.ts";
import type { EventFeed } from "./event-feed.ts";
import { eventsAfter } from "./store.ts";
import { type Topic, topicName } from "./topics.ts";

/** Events read from the database at once. */
const PAGE = 500;

/** Where the events of one follower go. */
export interface EventSink {
  readonly closed: boolean;
  /** Sends; false when the connection should take no more at the moment. */
  write(batch: EventBatch): boolean;
  /** Settles when there is room again, or when the connection has closed. */
  drained(): Promise<void>;
  onClose(callback: () => void): void;
}

export interface FollowDeps {
  readonly store: Store;
  readonly feed: EventFeed;
  /** The final status of a run; null while it has none. */
  readonly finalStatus: (tx: Tx, runId: string) => Promise<RunStatus | null>;
}

/** How following ended: the run is over with this status, or its workspace is gone, or nobody reads any more. */
export type FollowEnd = { readonly status: RunStatus; readonly last: number } | "removed" | "closed";

/**
 * Sends the events of a topic behind number `after`, each once and in order: what is stored, at the reader's pace, and
 * then what happens. Settles at the end of a run, else when the reader is gone.
 *
 * There is no hole between the two: the feed is entered before the first look into the database, which holds every event
 * that was committed before, and a follower is parked only when nothing newer than its look was published meanwhile.
 */
export async function followEvents(
  { store, feed, finalStatus }: FollowDeps,
  { topic, workspaceId, after, page = PAGE }: { topic: Topic; workspaceId: string; after: number; page?: number },
  sink: EventSink,
): Promise<FollowEnd> {
  const name = topicName(topic);
  const follower = { position: after, write: (batch: EventBatch) => sink.write(batch) };
  const visit = feed.enter(workspaceId);
  sink.onClose(() => visit.wake(name, follower));
  try {
    while (!sink.closed) {
      await sink.drained();
      const look = await store.read((tx) => lookBehind(tx, follower.position));
      if (look.newest === null) return "removed";
      if (look.events.length > 0) sink.write(new EventBatch(name, look.events));
      follower.position = look.isWhole ? Math.max(follower.position, look.newest) : lastOf(look.events);
      if (!look.isWhole || visit.published > follower.position || sink.closed) continue;
      if (look.status !== null) return { status: look.status, last: look.newest };
      await visit.park(name, follower);
    }
    return "closed";
  } finally {
    visit.leave();
  }

  async function lookBehind(tx: Tx, position: number) {
    const events = await eventsAfter(tx, topic, position, page);
    const newest = await newestEvent(tx, workspaceId);
    const status = topic.kind === "run" ? await finalStatus(tx, topic.id) : null;
    return { events, newest, status, isWhole: events.length < page };
  }
}

function lastOf(events: readonly RunEvent[]): number {
  return events.at(-1)?.id ?? 0;
}
