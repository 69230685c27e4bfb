import { beforeEach, expect, it } from "vitest";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { insertWorkspace } from "../../testing/rows.ts";
import { deleteOldTriggerEvents, storeTriggerEvent } from "./public.ts";

const DAY_MS = 24 * 3_600_000;
const START = 1_800_000_000_000;

describeStores("trigger events", (open) => {
  let store: Store;
  let workspaceId: string;
  const connectionId = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11";

  beforeEach(async () => {
    store = await open();
    workspaceId = await insertWorkspace(store, {});
  });

  const receive = (deliveryId: string, fields: Record<string, unknown> = {}) =>
    store.write((tx) =>
      storeTriggerEvent(tx, {
        workspaceId,
        provider: "github",
        source: "github_acme",
        event: "push",
        deliveryId,
        connectionId,
        payload: { ref: "refs/heads/main" },
        untrusted: false,
        receivedAt: START,
        ...fields,
      }),
    );
  const rows = () =>
    store.read((tx) => tx.all<TriggerEventRow>("select * from trigger_events order by received_at, id"));

  it("are stored once for each delivery of a connection, whatever a repeat says", async () => {
    const first = await receive("one");
    expect(first.duplicate).toBe(false);
    expect(await receive("one", { payload: { ref: "forged" } })).toEqual({ id: first.id, duplicate: true });
    const other = await receive("one", { connectionId: "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b12" });
    expect(other.duplicate).toBe(false);
    const stored = await rows();
    expect(stored.map(({ id }) => id)).toEqual([first.id, other.id]);
    expect(stored[0]).toMatchObject({
      origin: "integration",
      outcome: "received",
      matched_count: 0,
      processed_at: null,
      untrusted: 0,
      payload: '{"ref":"refs/heads/main"}',
    });
  });

  it("are one when the same delivery arrives many times at once", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => receive("crowd")));
    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(await rows()).toHaveLength(1);
  });

  it("keep the mark that they are not to be trusted, and text that a database would not", async () => {
    await receive("fork", { untrusted: true, payload: { title: "nul \0, half \ud800, __proto__", ["__proto__"]: 1 } });
    const [stored] = await rows();
    expect(stored?.untrusted).toBe(1);
    expect(JSON.parse(stored?.payload ?? "")).toMatchObject({ title: "nul \0, half \ud800, __proto__" });
  });

  it("are refused when the payload is over its limit, and nothing is kept", async () => {
    await expect(receive("huge", { payload: { text: "x".repeat(1024 * 1024) } })).rejects.toMatchObject({
      code: "body-too-large",
      status: 413,
    });
    expect(await rows()).toEqual([]);
  });

  const usage = () =>
    store.read((tx) => tx.get("select events, bytes from trigger_event_usage where workspace_id = ?", [workspaceId]));
  const receiveWithin = (limits: { events: number; bytes: number }, index: number, text = "") =>
    store.write((tx) =>
      storeTriggerEvent(
        tx,
        {
          workspaceId,
          provider: "github",
          source: "github_acme",
          event: "push",
          deliveryId: `delivery ${index}`,
          connectionId,
          payload: { text },
          untrusted: false,
          receivedAt: START + index,
        },
        limits,
      ),
    );
  const kept = async () => (await rows()).map((row) => row.delivery_id);

  it("push the oldest of their workspace out when there are too many, and nobody else's", async () => {
    const other = await insertWorkspace(store, {});
    await receive("of another", { workspaceId: other });
    for (let index = 1; index <= 5; index += 1) await receiveWithin({ events: 3, bytes: 10_000 }, index);
    expect(await kept()).toEqual(["of another", "delivery 3", "delivery 4", "delivery 5"]);
    expect(await usage()).toEqual({ events: 3, bytes: 3 * '{"text":""}'.length });
    expect((await receiveWithin({ events: 3, bytes: 10_000 }, 5)).duplicate).toBe(true);
    expect(await kept()).toHaveLength(4);
  });

  it("push out as many of the oldest as their bytes need, and stay themselves however large they are", async () => {
    const limits = { events: 1_000, bytes: 500 };
    for (let index = 1; index <= 4; index += 1) await receiveWithin(limits, index, "x".repeat(100));
    expect(await kept()).toHaveLength(4);
    await receiveWithin(limits, 5, "x".repeat(200));
    expect(await kept()).toEqual(["delivery 3", "delivery 4", "delivery 5"]);
    await receiveWithin(limits, 6, "x".repeat(2_000));
    expect(await kept()).toEqual(["delivery 6"]);
    expect(await usage()).toEqual({ events: 1, bytes: 2_011 });
    await deleteOldTriggerEvents(store, DAY_MS, START + 2 * DAY_MS);
    expect(await usage()).toEqual({ events: 0, bytes: 0 });
  });

  it("go when their time is over, batch by batch, and then the delivery counts as new", async () => {
    for (let index = 0; index < 120; index += 1) await receive(`old ${index}`, { receivedAt: START + index });
    await receive("young", { receivedAt: START + DAY_MS });
    expect(await deleteOldTriggerEvents(store, 30 * DAY_MS, START)).toBe(START + 30 * DAY_MS);
    const later = START + 30 * DAY_MS + 1_000;
    expect(await deleteOldTriggerEvents(store, 30 * DAY_MS, later)).toBe(later);
    expect(await deleteOldTriggerEvents(store, 30 * DAY_MS, later)).toBe(START + 31 * DAY_MS);
    expect((await rows()).map(({ delivery_id }) => delivery_id)).toEqual(["young"]);
    expect((await receive("old 1", { receivedAt: later })).duplicate).toBe(false);
  });
});
