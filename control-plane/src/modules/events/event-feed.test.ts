import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { RunEvent } from "../../store/store.ts";
import type { EventBatch } from "./event-batch.ts";
import { EventFeed } from "./event-feed.ts";

const WORKSPACE = "w1";

function stepStarted(id: number, runId = "r1"): RunEvent {
  const payload = { name: "test", attempt: 1 };
  return { id, workspaceId: WORKSPACE, type: "step.started", runId, projectId: null, payload, createdAt: 0 };
}

class Follower {
  readonly taken: EventBatch[] = [];
  woken = false;
  position: number;
  readonly #room: boolean;

  constructor(position = 0, room = true) {
    this.position = position;
    this.#room = room;
  }

  write(batch: EventBatch): boolean {
    this.taken.push(batch);
    return this.#room;
  }
}

describe("the feed of events", () => {
  function parked(feed: EventFeed, topic: "workspace:w1" | "run:r1" | "runners:w1", follower: Follower): Follower {
    void feed
      .enter(WORKSPACE)
      .park(topic, follower)
      .then(() => (follower.woken = true));
    return follower;
  }

  it("hands what is published in one turn to all who are up to date as one and the same buffer", async () => {
    const feed = new EventFeed();
    const [one, two] = [parked(feed, "run:r1", new Follower()), parked(feed, "run:r1", new Follower())];
    feed.onRunEvents([stepStarted(1), stepStarted(2, "r2")]);
    feed.onRunEvents([stepStarted(3)]);
    await turn();
    expect(one.taken.map((batch) => batch.events.map(({ id }) => id))).toEqual([[1, 3]]);
    expect(one.taken[0]?.frames).toBe(two.taken[0]?.frames);
    expect([one.position, one.woken, two.woken]).toEqual([3, false, false]);
  });

  it("wakes one whose connection is full, and lets the others be", async () => {
    const feed = new EventFeed();
    const [slow, quick] = [
      parked(feed, "workspace:w1", new Follower(0, false)),
      parked(feed, "workspace:w1", new Follower()),
    ];
    feed.onRunEvents([stepStarted(1)]);
    await turn();
    feed.onRunEvents([stepStarted(2)]);
    await turn();
    expect([slow.woken, slow.taken.length, slow.position]).toEqual([true, 1, 1]);
    expect([quick.woken, quick.taken.length]).toEqual([false, 2]);
  });

  it("gives nothing twice to one who has read part of it, and does not touch followers of other topics", async () => {
    const feed = new EventFeed();
    const ahead = parked(feed, "run:r1", new Follower(2));
    const within = parked(feed, "run:r1", new Follower(1));
    const elsewhere = parked(feed, "runners:w1", new Follower());
    feed.onRunEvents([stepStarted(1), stepStarted(2)]);
    await turn();
    expect([ahead.taken, ahead.woken]).toEqual([[], false]);
    expect([within.taken, within.woken]).toEqual([[], true]);
    expect([elsewhere.taken, elsewhere.woken]).toEqual([[], false]);
  });
});
