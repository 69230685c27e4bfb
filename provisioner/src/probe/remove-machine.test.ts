import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { SimulatedProvider } from "../drivers/simulated.fixture.ts";
import { CONFIRM_MS } from "../safety/absences.ts";
import { StandInPlane } from "../stand-in-plane.fixture.ts";
import type { ProbeWorld, Trial } from "./probe-world.ts";
import { removeMachine } from "./remove-machine.ts";

describe("the machine of a trial", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  async function prepare() {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    const owner = { controller: "token-1", pool: "main" };
    const batch = { providerKind: "simulated", bootSeconds: 60, instances: [{ template_key: "small" }] };
    const [planned] = await plane.planInstances(batch);
    const tags = { ...owner, instance: planned?.runner_instance_id ?? "" };
    provider.machines.set("m", { providerId: "m", tags, state: "running" });
    const observer = { said: () => {}, waits: () => {} };
    const world: ProbeWorld = {
      controlPlane: plane,
      provider,
      owner,
      providerKind: "simulated",
      maxInstances: 10,
      observer,
    };
    const unanswered: Trial = { fault: "no answer", mayExist: true, providerId: null, hiddenUntil: performance.now() };
    const state = () => plane.records.get(tags.instance)?.state;
    return { plane, provider, world, tags, unanswered, state };
  }

  it("is removed by its id, also when the list comes empty", async () => {
    const { provider, world, tags, unanswered, state } = await prepare();
    provider.listsNothing = true;
    const removal = await removeMachine(world, tags, { ...unanswered, fault: null, providerId: "m" });
    expect(removal).toEqual({ console: null, leftBehind: null });
    expect([provider.deleted, state()]).toEqual([["m"], "terminated"]);
  });

  it("is not removed while it has a job", async () => {
    const { plane, provider, world, tags, unanswered } = await prepare();
    const record = plane.records.get(tags.instance);
    Object.assign(record ?? {}, { bound_job: { job_id: "j", workflow_run_attempt_id: "a" } });
    const removed = removeMachine(world, tags, { ...unanswered, providerId: "m" });
    await vi.advanceTimersByTimeAsync(CONFIRM_MS / 2);
    expect(provider.deleted).toEqual([]);
    Object.assign(record ?? {}, { bound_job: null });
    await vi.advanceTimersByTimeAsync(CONFIRM_MS / 2);
    expect(await removed).toMatchObject({ leftBehind: null });
    expect(provider.deleted).toEqual(["m"]);
  });

  it("is looked for in several lists when its creation was not answered: an empty one is no proof", async () => {
    const { provider, world, tags, unanswered, state } = await prepare();
    provider.listsNothing = true;
    const removed = removeMachine(world, tags, unanswered);
    await vi.advanceTimersByTimeAsync(CONFIRM_MS / 2);
    expect(state()).toBe("planned");
    provider.listsNothing = false;
    await vi.advanceTimersByTimeAsync(CONFIRM_MS / 2);
    expect(await removed).toMatchObject({ leftBehind: null });
    expect([provider.deleted, state()]).toEqual([["m"], "failed"]);
  });

  it("counts as never made when lists over a minute lack it", async () => {
    const { provider, world, tags, unanswered, state } = await prepare();
    provider.machines.clear();
    const removed = removeMachine(world, tags, unanswered);
    await vi.advanceTimersByTimeAsync(CONFIRM_MS - 1);
    expect(state()).toBe("planned");
    await vi.advanceTimersByTimeAsync(CONFIRM_MS / 3);
    expect(await removed).toMatchObject({ leftBehind: null });
    expect(state()).toBe("failed");
  });
});
