import { afterEach, beforeEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, testClock } from "../../testing/api.ts";
import { insertUser, insertWorkspace, memberAccess } from "../../testing/rows.ts";
import { createTriggerRoutes, storeTriggerEvent } from "./public.ts";

const START = 1_800_000_000_000;
const clock = testClock(START);
const CONNECTION = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11";

describeStores("the list of trigger events", (open) => {
  let store: Store;
  let api: Api;
  let user: string;
  let workspaceId: string;

  beforeEach(async () => {
    store = await open();
    api = await serveApi(createTriggerRoutes({ store, clock, access: memberAccess, wake: () => {} }));
    user = await insertUser(store);
    workspaceId = await insertWorkspace(store, { [user]: "viewer" });
  });
  afterEach(() => api.close());

  const receive = (source: string, event: string, index: number, into = workspaceId, name = "") =>
    store.write((tx) =>
      storeTriggerEvent(tx, {
        workspaceId: into,
        provider: "github",
        source,
        event,
        deliveryId: `${source} ${event} ${index}${name}`,
        connectionId: CONNECTION,
        payload: { index },
        untrusted: false,
        receivedAt: START + index * 1_000,
      }),
    );
  const list = (query: string, as = user) =>
    api.call("GET", `/trigger-events?workspace_id=${workspaceId}${query}`, { user: as });
  const names = async (query: string) =>
    (await list(query)).body.trigger_events.map(({ delivery_id }: { delivery_id: string }) => delivery_id);

  it("goes page by page, newest first, also through events of one moment", async () => {
    for (let index = 0; index < 7; index += 1)
      await receive("a", "push", Math.floor(index / 3), workspaceId, ` ${index}`);
    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await list(`&limit=2${cursor}`);
      seen.push(...body.trigger_events.map(({ id }: { id: string }) => id));
      if (body.next_cursor === null) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect(seen).toHaveLength(7);
    expect(new Set(seen).size).toBe(7);
    expect(seen).toEqual([...seen].sort().reverse());
    expect(await list("&cursor=nonsense")).toMatchObject({ status: 400, body: { code: "invalid-cursor" } });
  });

  it("is narrowed by sources, events, outcomes and times, repeated or with commas", async () => {
    await receive("a", "push", 0);
    await receive("a", "issues.opened", 1);
    await receive("b", "push", 2);
    await receive("c", "received", 3);
    expect(await names("&source=a")).toEqual(["a issues.opened 1", "a push 0"]);
    expect(await names("&source=a,b&event=push")).toEqual(["b push 2", "a push 0"]);
    expect(await names("&source=a&source=c")).toEqual(["c received 3", "a issues.opened 1", "a push 0"]);
    expect(await names("&outcome=received&outcome=routed,failed&source=c")).toEqual(["c received 3"]);
    expect(await names("&outcome=discarded")).toEqual([]);
    const at = (index: number) => encodeURIComponent(new Date(START + index * 1_000).toISOString());
    expect(await names(`&from=${at(1)}&to=${at(2)}`)).toEqual(["b push 2", "a issues.opened 1"]);
    for (const wrong of [
      `&from=${at(2)}&to=${at(1)}`,
      "&outcome=nothing",
      "&source=",
      "&from=yesterday",
      "&limit=101",
    ]) {
      expect([wrong, (await list(wrong)).status]).toEqual([wrong, 400]);
    }
  });

  it("counts what it has, the most frequent first", async () => {
    for (let index = 0; index < 3; index += 1) await receive("a", "push", index);
    await receive("b", "push", 9);
    await receive("b", "issues.opened", 9);
    const other = await insertWorkspace(store, {});
    await receive("foreign", "push", 1, other);
    const { body } = await api.call("GET", `/trigger-events/facets?workspace_id=${workspaceId}`, { user });
    expect(body).toEqual({
      sources: [
        { value: "a", count: 3 },
        { value: "b", count: 2 },
      ],
      events: [
        { value: "push", count: 4 },
        { value: "issues.opened", count: 1 },
      ],
    });
  });

  it("is for members; for others an event is not there", async () => {
    const { id } = await receive("a", "push", 0);
    const stranger = await insertUser(store);
    expect(await api.call("GET", `/trigger-events/${id}`, { user })).toMatchObject({
      status: 200,
      body: { payload: { index: 0 }, decisions: [], connection_name: null },
    });
    expect(await api.call("GET", `/trigger-events/${id}`, { user: stranger })).toMatchObject({ status: 404 });
    expect(await list("", stranger)).toMatchObject({ status: 403 });
    expect(
      await api.call("GET", `/trigger-events/facets?workspace_id=${workspaceId}`, { user: stranger }),
    ).toMatchObject({ status: 403 });
    expect(await api.call("GET", `/trigger-events/${CONNECTION}`, { user })).toMatchObject({ status: 404 });
  });
});
