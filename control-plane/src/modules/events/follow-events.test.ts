import { setImmediate as turn } from "node:timers/promises";
import { newId } from "@shipfox/shared/ids";
import fc from "fast-check";
import { expect, it } from "vitest";
import { EventBus } from "../../events/event-bus.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { insertWorkspace } from "../../testing/rows.ts";
import type { EventBatch } from "./event-batch.ts";
import { EventFeed } from "./event-feed.ts";
import { followEvents } from "./follow-events.ts";
import type { Topic } from "./topics.ts";

const RUNS_OF_THE_PROPERTY = 25;

/** A connection in memory: takes so many batches before it is full, and breaks when it is told to. */
class Reader {
  readonly seen: number[] = [];
  readonly #onClose: (() => void)[] = [];
  readonly #capacity: number;
  #pending = 0;
  #whenDrained: (() => void) | null = null;
  closed = false;
  /** Breaks after so many events more. */
  breakAfter: number;

  constructor(breakAfter = Number.POSITIVE_INFINITY, capacity = Number.POSITIVE_INFINITY) {
    this.breakAfter = breakAfter;
    this.#capacity = capacity;
  }

  write(batch: EventBatch): boolean {
    for (const { id } of batch.events) {
      if (this.closed) return false;
      this.seen.push(id);
      this.breakAfter -= 1;
      if (this.breakAfter === 0) this.close();
    }
    this.#pending += 1;
    if (this.#pending === this.#capacity) void turn().then(() => this.#drain());
    return this.#pending < this.#capacity;
  }

  drained(): Promise<void> {
    if (this.closed || this.#pending < this.#capacity) return Promise.resolve();
    return new Promise((resolve) => (this.#whenDrained = resolve));
  }

  onClose(callback: () => void): void {
    this.#onClose.push(callback);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.#drain();
    for (const callback of this.#onClose) callback();
  }

  #drain(): void {
    this.#pending = 0;
    this.#whenDrained?.();
  }
}

describeStores("following events", (open) => {
  async function plane() {
    const bus = new EventBus();
    const feed = new EventFeed();
    bus.subscribe(feed.onRunEvents);
    const store = await open({ onRunEvents: bus.publish });
    return { store, feed, deps: { store, feed, finalStatus: async () => null } };
  }

  function happen(store: Store, workspaceId: string, runId: string | null, count: number): Promise<void> {
    return store.write(async (tx) => {
      for (let made = 0; made < count; made += 1) {
        const place = { workspaceId, projectId: null, createdAt: 0 };
        if (runId === null) tx.record({ ...place, runId, type: "runner.healthy", payload: { runner_id: newId() } });
        else tx.record({ ...place, runId, type: "step.started", payload: { name: "test", attempt: 1 } });
      }
    });
  }

  it("gives every follower each event once and in order, however commits, arrivals and cuts fall together", async () => {
    const { store, deps, feed } = await plane();
    const runs = [newId(), newId()];
    const commit = fc.record({
      run: fc.constantFrom(...runs, null),
      count: fc.integer({ min: 1, max: 4 }),
      pause: fc.boolean(),
    });
    const follower = fc.record({
      topic: fc.constantFrom("workspace", "run", "runners"),
      startAt: fc.nat({ max: 12 }),
      breakAfter: fc.integer({ min: 1, max: 6 }),
      capacity: fc.constantFrom(1, 2, Number.POSITIVE_INFINITY),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(commit, { minLength: 1, maxLength: 25 }),
        fc.array(follower, { minLength: 1, maxLength: 5 }),
        async (commits, followers) => {
          const workspaceId = await insertWorkspace(store, {});
          let done = false;
          const reading = followers.map(async ({ topic: kind, startAt, breakAfter, capacity }) => {
            for (let waited = 0; waited < startAt; waited += 1) await turn();
            const topic: Topic = { kind, id: kind === "run" ? (runs[0] as string) : workspaceId };
            const seen: number[] = [];
            let wholeIds: number[] = [];
            for (;;) {
              const reader = new Reader(breakAfter, capacity);
              const following = followEvents(deps, { topic, workspaceId, after: seen.at(-1) ?? 0 }, reader);
              while (!reader.closed) {
                await turn();
                wholeIds = done ? await idsOf(store, topic, workspaceId) : [];
                if (done && seen.length + reader.seen.length >= wholeIds.length) reader.close();
              }
              await following;
              seen.push(...reader.seen);
              if (done && seen.length >= wholeIds.length) break;
            }
            expect(seen).toEqual(wholeIds);
          });
          await Promise.all(
            commits.map(async ({ run, count, pause }, at) => {
              if (pause) for (let waited = 0; waited < at; waited += 1) await turn();
              await happen(store, workspaceId, run, count);
            }),
          );
          done = true;
          await Promise.all(reading);
          // Of other runs of the same property the first run's events lie in other workspaces.
          await store.write((tx) => tx.run("delete from run_events"));
        },
      ),
      { numRuns: RUNS_OF_THE_PROPERTY },
    );
    expect(feed.size).toBe(0);
  });
});

async function idsOf(store: Store, { kind, id }: Topic, workspaceId: string): Promise<number[]> {
  const filter = { workspace: "", run: `and run_id = '${id}'`, runners: "and type like 'runner.%'" }[kind];
  const sql = `select id from run_events where workspace_id = ? ${filter} order by id`;
  return (await store.read((tx) => tx.all<{ id: number }>(sql, [workspaceId]))).map((row) => row.id);
}
