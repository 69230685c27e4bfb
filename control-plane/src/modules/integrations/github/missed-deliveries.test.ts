import { expect, it } from "vitest";
import { describeStores } from "../../../store/testing.ts";
import { openWorld } from "./github-world.fixture.ts";
import { missedDeliveries } from "./missed-deliveries.ts";

it("takes what nobody answered, oldest first, each once, and not what was refused or tried enough", () => {
  const deliveries = [
    { id: 9, guid: "failed", status_code: 503 },
    { id: 8, guid: "no answer", status_code: 0 },
    { id: 7, guid: "taken", status_code: 204 },
    { id: 6, guid: "refused", status_code: 413 },
    { id: 5, guid: "taken later", status_code: 0 },
    { id: 4, guid: "failed", status_code: 502 },
    { id: 3, guid: "often", status_code: 500 },
    { id: 2, guid: "often", status_code: 500 },
    { id: 1, guid: "often", status_code: 500 },
    { id: 10, guid: "taken later", status_code: 204 },
  ];
  expect(missedDeliveries(deliveries)).toEqual([8, 9]);
  expect(missedDeliveries([])).toEqual([]);
});

describeStores("deliveries that nobody took", (open) => {
  it("come again and are stored once, also when they had been stored", async () => {
    const store = await open();
    const world = await openWorld(store);
    try {
      const { github, clock, missed, api } = world;
      const installation = github.install("acme", [await world.repository("acme", "app", 7)]);
      await world.link(installation.id);
      const body = { installation: { id: installation.id }, action: "created" };
      const nowhere = "http://127.0.0.1:1";
      expect(await github.deliver(nowhere, "label", body, "missed")).toBe(0);
      await github.deliver(api.url, "label", body, "taken");
      github.hookUrl = api.url;
      const asked = () => github.requests.filter((call) => call.includes("/hook/")).length;
      const first = await missed.runDue(clock.now());
      expect([first > clock.now(), asked()]).toEqual([true, 0]);

      clock.advance(20_000);
      await missed.runDue(clock.now());
      const stored = () =>
        store.read((tx) =>
          tx.all<{ delivery_id: string }>("select delivery_id from trigger_events order by delivery_id"),
        );
      await expect.poll(stored).toEqual([{ delivery_id: "missed" }, { delivery_id: "taken" }]);
      await expect
        .poll(() => github.deliveries[0])
        .toMatchObject({ guid: "missed", status_code: 204, redelivery: true });
      clock.advance(20 * 60_000);
      const before = asked();
      await missed.runDue(clock.now());
      expect(asked()).toBe(before + 1);

      github.faults.push({ path: /hook/, status: 401 });
      clock.advance(20 * 60_000);
      expect(await missed.runDue(clock.now())).toBeGreaterThan(clock.now());
    } finally {
      await world.close();
    }
  });
});
