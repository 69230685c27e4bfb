import { OnceATurn } from "../../events/once-a-turn.ts";
import type { RunEvent } from "../../store/store.ts";
import { EventBatch } from "./event-batch.ts";
import { type TopicName, topicsOf } from "./topics.ts";

/** One who follows a topic. */
export interface EventFollower {
  /** The number up to which it was given everything of its topic. */
  position: number;
  /** Sends; false when its connection should take no more at the moment. */
  write(batch: EventBatch): boolean;
}

/** Stands for one who follows something in a workspace, from before its first look into the database until it leaves. */
export interface Visit {
  /** The newest number that was published since; 0 when none was. */
  readonly published: number;
  /**
   * Settles when the follower must look for itself: it is behind, or its run may be over. Until then what happens is sent
   * to it. Between the check that nothing newer than its position was published and this call nothing may be awaited.
   */
  park(topic: TopicName, follower: EventFollower): Promise<void>;
  /** Ends the wait of a parked follower. */
  wake(topic: TopicName, follower: EventFollower): void;
  leave(): void;
}

interface Room {
  visits: number;
  published: number;
  readonly parked: Map<TopicName, Map<EventFollower, () => void>>;
  /** What was published and not handed out yet. */
  pending: RunEvent[];
}

/**
 * Hands committed events to those who follow them in this process. What is published in one turn of the event loop is
 * encoded once for each topic and form, and the same bytes go to everybody who is up to date; all others are woken and
 * read from the database at their own pace. Costs nothing for workspaces and topics in which nothing happens.
 */
export class EventFeed {
  readonly #rooms = new Map<string, Room>();
  readonly #dirty = new OnceATurn<Room>(handOut);

  /** Workspaces in which somebody follows something. */
  get size(): number {
    return this.#rooms.size;
  }

  /** Given every committed event, in the order of the numbers of its workspace. */
  readonly onRunEvents = (events: readonly RunEvent[]): void => {
    for (const event of events) {
      const room = this.#rooms.get(event.workspaceId);
      if (!room) continue;
      room.published = event.id;
      if (room.parked.size === 0) continue;
      room.pending.push(event);
      this.#dirty.mark(room);
    }
  };

  /** Called before the first look into the database, so that nothing that is published after it is missed. */
  enter(workspaceId: string): Visit {
    const room = this.#rooms.get(workspaceId) ?? { visits: 0, published: 0, parked: new Map(), pending: [] };
    this.#rooms.set(workspaceId, room);
    room.visits += 1;
    return {
      get published() {
        return room.published;
      },
      park: (topic, follower) => park(room, topic, follower),
      wake: (topic, follower) => room.parked.get(topic)?.get(follower)?.(),
      leave: () => {
        room.visits -= 1;
        if (room.visits === 0) this.#rooms.delete(workspaceId);
      },
    };
  }
}

function park(room: Room, topic: TopicName, follower: EventFollower): Promise<void> {
  const followers = room.parked.get(topic) ?? new Map<EventFollower, () => void>();
  room.parked.set(topic, followers);
  return new Promise((resolve) => {
    followers.set(follower, () => {
      followers.delete(follower);
      if (followers.size === 0 && room.parked.get(topic) === followers) room.parked.delete(topic);
      resolve();
    });
  });
}

function handOut(room: Room): void {
  const byTopic = new Map<TopicName, RunEvent[]>();
  for (const event of room.pending) {
    for (const topic of topicsOf(event)) {
      if (!room.parked.has(topic)) continue;
      const events = byTopic.get(topic);
      if (events) events.push(event);
      else byTopic.set(topic, [event]);
    }
  }
  room.pending = [];
  for (const [topic, events] of byTopic) give(room.parked.get(topic) ?? new Map(), new EventBatch(topic, events));
}

function give(followers: ReadonlyMap<EventFollower, () => void>, batch: EventBatch): void {
  const first = batch.events[0]?.id ?? 0;
  for (const [follower, wake] of followers) {
    // One who parked after these were published has read them.
    if (follower.position >= batch.last) continue;
    if (follower.position < first) {
      follower.position = batch.last;
      if (follower.write(batch) && !batch.finishesRun) continue;
    }
    wake();
  }
}
