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
