import { newId } from "@shipfox/shared/ids";
import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { insertUser, insertWorkspace } from "../../testing/rows.ts";
import { holdsSince } from "./events-since.ts";

describeStores("a mark in the event log", (open) => {
  it("is moved no further than to the last event by several who look at once", async () => {
    const store = await open();
    const workspaceId = await insertWorkspace(store, { [await insertUser(store)]: "owner" });
    const happen = () =>
      store.write(async (tx) => {
        const payload = { runner_id: newId() };
        tx.record({ workspaceId, type: "runner.healthy", runId: null, projectId: null, payload, createdAt: 0 });
      });
    await happen();
    await happen();
    const mark = { workspaceId, seen: 0 };
    const look = (changes: boolean) => store.read((tx) => holdsSince(tx, mark, () => changes));
    const both = await store.read((tx) => Promise.all([1, 2].map(() => holdsSince(tx, mark, () => false))));
    expect([both, mark.seen]).toEqual([[true, true], 2]);
    await happen();
    expect([await look(true), mark.seen]).toEqual([false, 2]);
    expect([await look(false), mark.seen]).toEqual([true, 3]);
  });
});
