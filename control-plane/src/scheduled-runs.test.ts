import { expect, it } from "vitest";
import { describeStores } from "./store/testing.ts";
import { startTriggers, triggered } from "./triggers.fixture.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 3_600_000;
const cron = (schedule: string, more = "") =>
  triggered("Nightly", `  nightly: { source: cron, event: tick, config: { schedule: "${schedule}" }${more} }\n`);

describeStores("a schedule", (open) => {
  it("starts a run when its time has come, and plans the next", async () => {
    const world = await startTriggers(await open());
    const definition = await world.save(cron("*/5 * * * *", ", with: { level: 2 }"));
    const [due = 0] = world.armed;
    expect(due % (5 * MINUTE_MS)).toBe(0);
    expect(due - world.clock.now()).toBeLessThanOrEqual(5 * MINUTE_MS);
    const schedules = world.schedules();
    expect(await schedules.runDue(world.clock.now())).toBe(due);
    expect(await world.runs()).toEqual([]);

    world.clock.advance(due - world.clock.now());
    expect(await schedules.runDue(world.clock.now())).toBe(due + 5 * MINUTE_MS);
    const [run, ...more] = await world.runs();
    expect(more).toEqual([]);
    expect(run).toMatchObject({
      definition_id: definition,
      trigger_provider: "cron",
      trigger_source: "cron",
      trigger_event: "tick",
      inputs: '{"level":2}',
      pinned_commit: null,
    });
    const [event] = await world.events();
    const shown = await world.event(event?.id ?? "");
    expect(shown).toMatchObject({ origin: "cron", outcome: "routed", matched_count: 1, payload: null });
    const [decision] = shown.decisions;
    expect(decision).toMatchObject({ decision: "triggered", run_id: run?.id, subscription_name: "nightly" });
    expect(shown.event_ref).toBe(`${decision?.subscription_id}:${new Date(due).toISOString()}`);
    const scheduleId = decision?.subscription_id;
    expect(JSON.parse(run?.trigger_payload ?? "")).toEqual({
      provider: "cron",
      source: "cron",
      event: "tick",
      scheduleId,
    });
    const replay = await world.api.call("POST", `/trigger-events/${shown.id}/replay`, { user: world.user });
    expect(replay).toMatchObject({ status: 409, body: { code: "trigger-event-not-replayable" } });
  });

  it("makes up for all the times that passed while nothing ran with one run", async () => {
    const world = await startTriggers(await open());
    await world.save(cron("*/5 * * * *"));
    world.clock.advance(3 * DAY_MS + 1_000);
    const next = await world.schedules().runDue(world.clock.now());
    expect(next).toBeGreaterThan(world.clock.now());
    await world.schedules().runDue(world.clock.now());
    expect(await world.runs()).toHaveLength(1);
  });

  it("starts one run when two processes look at once", async () => {
    const world = await startTriggers(await open());
    await world.save(cron("*/5 * * * *"));
    world.clock.advance(DAY_MS);
    await Promise.all([1, 2, 3].map(() => world.schedules().runDue(world.clock.now())));
    expect(await world.runs()).toHaveLength(1);
    expect(await world.events()).toHaveLength(1);
  });

  it("keeps its next time when its workflow is saved anew, and takes another one with another schedule", async () => {
    const world = await startTriggers(await open());
    await world.save(cron("0 3 * * *"));
    world.clock.advance(3 * DAY_MS);
    await world.save(`${cron("0 3 * * *")}# changed\n`);
    expect(world.armed[1]).toBe(world.armed[0]);
    await world.save(cron("0 4 * * *"));
    expect(world.armed[2]).toBeGreaterThan(world.clock.now());
    await world.save(triggered("Nightly", "  by_hand: { source: manual, event: fire }\n"));
    world.clock.advance(3 * DAY_MS);
    expect(await world.schedules().runDue(world.clock.now())).toBeNull();
    expect(await world.runs()).toEqual([]);
  });

  it("lets its times pass while its project is archived", async () => {
    const store = await open();
    const world = await startTriggers(store);
    await world.save(cron("*/5 * * * *"));
    await store.write((tx) => tx.run("update projects set archived_at = 1"));
    world.clock.advance(DAY_MS);
    const next = await world.schedules().runDue(world.clock.now());
    expect(next).toBeGreaterThan(world.clock.now());
    await store.write((tx) => tx.run("update projects set archived_at = null"));
    await world.schedules().runDue(world.clock.now());
    expect(await world.runs()).toEqual([]);
    expect(await world.events()).toEqual([]);
  });

  it("says why no run could be created, and goes on to its next time", async () => {
    const store = await open();
    const world = await startTriggers(store);
    await world.save(cron("*/5 * * * *"));
    const plan = JSON.stringify({ kind: "workflow", name: "CI", manualTrigger: null, jobs: [], notRunnable: [] });
    await store.write((tx) => tx.run("update definitions set model = ?", [plan]));
    world.clock.advance(DAY_MS);
    const next = await world.schedules().runDue(world.clock.now());
    expect(next).toBeGreaterThan(world.clock.now());
    const [event] = await world.events();
    const shown = await world.event(event?.id ?? "");
    expect(shown).toMatchObject({ outcome: "errored", decisions: [{ decision: "dispatch-error", run_id: null }] });
  });

  it("stays due when the start failed for a reason that may pass", async () => {
    const store = await open();
    const world = await startTriggers(store);
    await world.save(cron("*/5 * * * *"));
    world.clock.advance(DAY_MS);
    const failing = await startTriggers(store, () => Promise.reject(new Error("the database is away")));
    const now = world.clock.now();
    expect(await failing.schedules().runDue(now)).toBeGreaterThan(now);
    expect(await world.runs()).toEqual([]);
    await world.schedules().runDue(now);
    expect(await world.runs()).toHaveLength(1);
  });
});
