import { RefusedError } from "@shipfox/shared/call-error";
import { createLogger } from "@shipfox/shared/logger";
import { afterEach, describe, expect, it } from "vitest";
import { FIRST_PAUSE_MS, MAX_FAILURES, MAX_PAUSE_MS } from "./budget/breaker.ts";
import { Budgets, type Time } from "./budget/budgets.ts";
import { Daemon } from "./daemon.ts";
import { ProviderError } from "./drivers/driver.ts";
import { SimulatedProvider } from "./drivers/simulated.fixture.ts";
import { Fleet, hasEnded } from "./fleet.ts";
import { Monitor } from "./monitor.ts";
import { policy } from "./policy.ts";
import { CONFIRM_MS, CONFIRMATIONS } from "./safety/absences.ts";
import { StandInPlane } from "./stand-in-plane.fixture.ts";
import type { Template } from "./templates/template.ts";
import type { World } from "./world.ts";

const time: Time = { monotonic: () => performance.now(), now: () => Date.now(), random: () => 0 };
const template: Template = {
  key: "small",
  labels: ["linux"],
  capabilities: [],
  sandbox: "host",
  runnerApiUrl: "http://127.0.0.1:1",
  machine: {},
  maxConcurrency: 3,
  maxCreationsPerHour: 100,
  idle: 0,
  schedules: [],
  burst: 10,
  bootTimeoutMs: 60_000,
  idleTimeoutMs: 60_000,
  maxLifetimeMs: 600_000,
  costPerHour: null,
  preference: 0,
  fallback: null,
};
const JOB = { job_id: "j", workflow_run_attempt_id: "a" };

let stop: () => Promise<unknown> = async () => {};
afterEach(() => stop());

function start(
  plane: StandInPlane,
  provider: SimulatedProvider,
  over: Partial<Template> = {},
  maxDeletionsPerMinute = 100,
  clock = time,
) {
  const world: World = {
    controlPlane: plane,
    provider,
    owner: { controller: "token-1", pool: "main" },
    policy,
    file: () => ({
      pool: "main",
      provider: { kind: "simulated", settings: {} },
      limits: { maxInstances: 10, maxCreationsPerHour: 100, maxDeletionsPerMinute },
      templates: [{ ...template, ...over }],
    }),
    fleet: new Fleet(),
    budgets: new Budgets(clock),
    monitor: new Monitor(),
    time: clock,
    logger: createLogger("test", "silent"),
  };
  const daemon = new Daemon(world, { convergeMs: 20 });
  const ended = daemon.run();
  stop = () => {
    daemon.stop();
    return ended;
  };
  return { daemon, ended, world };
}

describe("the provisioner", () => {
  it("makes a machine for each job up to its bound, and removes those that are over", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 5;
    start(plane, provider);
    await expect.poll(() => provider.created.length).toBe(3);
    expect(provider.created[0]?.boot.runnerEnv["SHIPFOX_RUNNER_LABELS"]).toBe("linux");
    expect(JSON.stringify(provider.created[0]?.boot.runnerEnv)).not.toContain("sf_ert_");
    plane.jobs = 0;
    for (const record of plane.records.values())
      Object.assign(record, { registered: true, desired_intent: "terminate" });
    await expect.poll(() => provider.machines.size).toBe(0);
  });

  it("removes those that have had their job side by side, whatever the limit, and the others within it", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 4;
    const { world } = start(plane, provider, { maxConcurrency: 4 }, 1);
    await expect.poll(() => [...plane.records.values()].filter(({ state }) => state === "running").length).toBe(4);
    const both = Promise.withResolvers<void>();
    let begun = 0;
    provider.onDelete = async () => {
      begun += 1;
      if (begun >= 2) both.resolve();
      await both.promise;
    };
    plane.jobs = 0;
    const done = [...plane.records.keys()].slice(0, 2);
    for (const [id, record] of plane.records)
      Object.assign(record, { registered: true, claimed: done.includes(id), desired_intent: "terminate" });
    await expect.poll(() => world.monitor.deletionsWaiting).toBe(1);
    await expect.poll(() => provider.deleted).toHaveLength(3);
    expect(provider.deleted).toEqual(expect.arrayContaining(done.map((id) => `m-${id}`)));
  });

  it("keeps its idle pool full without being asked for jobs", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    start(plane, provider, { idle: 2 });
    await expect.poll(() => provider.created.length).toBe(2);
    for (const record of plane.records.values())
      Object.assign(record, { registered: true, claimed: true, bound_job: JOB });
    await expect.poll(() => provider.created.length).toBe(3);
  });

  it("adopts what an earlier process made, and never touches what is not in the records", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    await plane.planInstances({ providerKind: "simulated", bootSeconds: 60, instances: [{ template_key: "small" }] });
    const [id = ""] = plane.records.keys();
    const tags = { controller: "token-1", pool: "main" };
    provider.machines.set("m", { providerId: "m", tags: { ...tags, instance: id }, state: "running" });
    provider.machines.set("u", { providerId: "u", tags: { ...tags, instance: "unknown" }, state: "stopped" });
    provider.machines.set("f", { providerId: "f", tags: null, state: "stopped" });
    const { world } = start(plane, provider);
    await expect.poll(() => plane.records.get(id)?.provider_runner_id).toBe("m");
    await expect.poll(() => [world.monitor.unknown, world.monitor.foreign]).toEqual([1, 1]);
    expect(provider.created).toEqual([]);
    expect(provider.deleted).toEqual([]);
    expect(world.monitor.counters.get("adopted")).toBe(1);
  });

  it("adopts none that it made itself, however slowly they start", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 1;
    provider.onCreate = ({ tags }) =>
      Object.assign(provider.machines.get(`m-${tags.instance}`) ?? {}, { state: "starting" });
    const { world } = start(plane, provider);
    const states = () => [...plane.records.values()].map(({ state }) => state);
    await expect.poll(states).toEqual(["starting"]);
    const lists = world.monitor.counters.get("lists") ?? 0;
    await expect.poll(() => world.monitor.counters.get("lists") ?? 0).toBeGreaterThan(lists + 2);
    for (const machine of provider.machines.values()) machine.state = "running";
    await expect.poll(states).toEqual(["running"]);
    expect(world.monitor.counters.get("adopted")).toBeUndefined();
  });

  it("finds a machine whose creation was not answered, and makes no second one", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    provider.creationFaults.push(new ProviderError("unavailable", "time-out", { mayHaveHappened: true }));
    plane.jobs = 1;
    const { world } = start(plane, provider);
    await expect.poll(() => [...plane.records.values()].map(({ state }) => state)).toEqual(["running"]);
    expect(provider.created).toHaveLength(1);
    expect(world.monitor.counters.get("adopted")).toBe(1);
  });

  it("takes what an earlier process left without a start away, and blames no template for it", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    const instances = Array.from({ length: MAX_FAILURES }, () => ({ template_key: "small" }));
    await plane.planInstances({ providerKind: "simulated", bootSeconds: 60, instances });
    for (const instance of plane.records.keys()) {
      const tags = { controller: "token-1", pool: "main", instance };
      provider.machines.set(`m-${instance}`, { providerId: `m-${instance}`, tags, state: "stopped" });
    }
    const { world } = start(plane, provider);
    await expect.poll(() => provider.machines.size).toBe(0);
    expect([...plane.records.values()].map(({ state }) => state)).toEqual(instances.map(() => "failed"));
    expect(world.budgets.circuit("small")).toBe("closed");
  });

  it("takes the few for gone that nobody wants and no list shows, and doubts the one that works", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    const instances = Array.from({ length: 9 }, () => ({ template_key: "small" }));
    await plane.planInstances({ providerKind: "simulated", bootSeconds: 60, instances });
    const [busy, listed, ...rest] = [...plane.records.values()];
    const [unwanted, neverOrdered] = [rest.slice(0, 1), rest.slice(1)];
    for (const record of [busy, listed, ...unwanted])
      Object.assign(record ?? {}, {
        state: "running",
        registered: true,
        bound_job: record === unwanted[0] ? null : JOB,
      });
    for (const record of unwanted) Object.assign(record, { claimed: true, desired_intent: "terminate" });
    const tags = { controller: "token-1", pool: "main", instance: listed?.runner_instance_id ?? "" };
    provider.machines.set("listed", { providerId: "listed", tags, state: "running" });
    start(plane, provider);
    await expect.poll(() => unwanted.map(({ state }) => state)).toEqual(["terminated"]);
    const present = [busy, listed].map((record) => record?.runner_instance_id);
    await expect.poll(() => [...(plane.lists.at(-1)?.observed ?? [])].sort()).toEqual(present);
    expect([busy, listed, ...neverOrdered].map((record) => record?.state)).toEqual([
      "running",
      "running",
      ...neverOrdered.map(() => "planned"),
    ]);
  });

  it("is neither drained nor has room for more while lists come empty", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 3;
    const { daemon, world } = start(plane, provider);
    const running = () => [...plane.records.values()].filter(({ state }) => state === "running");
    await expect.poll(() => running().length).toBe(3);
    provider.listsNothing = true;
    for (const record of running())
      Object.assign(record, { registered: true, claimed: true, desired_intent: "terminate" });
    const seen = world.monitor.counters.get("doubted_lists") ?? 0;
    await expect.poll(() => world.monitor.counters.get("doubted_lists") ?? 0).toBeGreaterThan(seen + 2);
    expect([running().length, provider.machines.size]).toEqual([3, 3]);
    daemon.drain();
    await expect.poll(() => world.monitor.counters.get("doubted_lists") ?? 0).toBeGreaterThan(seen + 5);
    expect(running()).toHaveLength(3);
  });

  it("holds no room for those whose deletion was not answered, once a list with others lacks them", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 9;
    start(plane, provider, { maxConcurrency: 9 });
    const running = () => [...plane.records.values()].filter(({ state }) => state === "running");
    await expect.poll(() => running().length).toBe(9);
    const [kept, ...done] = running();
    Object.assign(kept ?? {}, { registered: true });
    provider.onDelete = async () => {
      for (const id of provider.machines.keys())
        if (id !== `m-${kept?.runner_instance_id}`) provider.machines.delete(id);
      throw new ProviderError("unavailable", "no answer");
    };
    plane.jobs = 0;
    for (const record of done) Object.assign(record, { registered: true, claimed: true, desired_intent: "terminate" });
    await expect.poll(() => done.map(({ state }) => state), { timeout: 5_000 }).toEqual(done.map(() => "terminated"));
    expect(kept?.state).toBe("running");
  });

  it("believes no list that is suddenly empty, and ends nothing when lists fail", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 2;
    const { world } = start(plane, provider);
    await expect.poll(() => [...plane.records.values()].filter(({ state }) => state !== "planned").length).toBe(2);
    provider.listsNothing = true;
    await expect.poll(() => world.monitor.counters.get("doubted_lists") ?? 0).toBeGreaterThan(2);
    expect(plane.lists.at(-1)).toMatchObject({
      confirmedEmpty: false,
      observed: expect.arrayContaining([...plane.records.keys()]),
    });
    provider.listFault = new ProviderError("unavailable", "down");
    await expect.poll(() => world.monitor.providerFault).toBe("down");
    expect(provider.deleted).toEqual([]);
  });

  it("reports the console of a machine that ended before its runner registered, and stops after several", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    provider.consoleText = "kernel panic";
    provider.onCreate = ({ tags }) =>
      Object.assign(provider.machines.get(`m-${tags.instance}`) ?? {}, { state: "stopped" });
    plane.jobs = 1;
    const { world } = start(plane, provider);
    await expect.poll(() => world.budgets.circuit("small")).toBe("open");
    expect(plane.events).toContainEqual(expect.objectContaining({ state: "failed", console_tail: "kernel panic" }));
    await expect.poll(() => provider.machines.size).toBe(0);
  });

  describe("whose circuit is half-open", () => {
    const timeout = new ProviderError("unavailable", "time-out", { mayHaveHappened: true });

    /** The provider has refused once; what it does with the trial is up to `trial`. */
    async function halfOpen(trial: (provider: SimulatedProvider) => void) {
      const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
      plane.endsAbsent = true;
      plane.jobs = 1;
      provider.creationFaults.push(new ProviderError("quota", "no more"));
      let later = 0;
      const clock = { ...time, monotonic: () => performance.now() + later, now: () => Date.now() + later };
      const { world } = start(plane, provider, {}, 100, clock);
      const pass = (ms: number) => {
        later += ms;
      };
      const doubtedLists = () => world.monitor.counters.get("doubted_lists") ?? 0;
      /** Lists go on to miss what they miss, until that is believed. */
      const confirmAbsence = async () => {
        const before = doubtedLists();
        await expect.poll(doubtedLists).toBeGreaterThan(before + CONFIRMATIONS);
        pass(CONFIRM_MS);
      };
      await expect.poll(() => world.budgets.circuit("small")).toBe("open");
      trial(provider);
      pass(FIRST_PAUSE_MS);
      return { plane, provider, world, pass, confirmAbsence };
    }

    it("makes another trial when the creation of the first was not answered and made nothing", async () => {
      let isTried = false;
      const { plane, provider, world, confirmAbsence } = await halfOpen((changed) => {
        const create = changed.create.bind(changed);
        changed.create = async (request) => {
          if (isTried) return create(request);
          isTried = true;
          throw timeout;
        };
      });
      await expect.poll(() => isTried).toBe(true);
      await confirmAbsence();
      await expect.poll(() => provider.created).toHaveLength(1);
      for (const record of plane.records.values()) record.registered = true;
      await expect.poll(() => world.budgets.circuit("small")).toBe("closed");
      expect(world.monitor.counters.get("boot_failures")).toBeUndefined();
    });

    it("counts a trial whose machine was taken away before its runner registered as a failed boot, and makes another", async () => {
      const { plane, provider, world, pass, confirmAbsence } = await halfOpen(() => {});
      await expect.poll(() => [...plane.records.values()].map(({ state }) => state)).toContain("running");
      provider.machines.clear();
      await confirmAbsence();
      await expect.poll(() => world.monitor.counters.get("boot_failures")).toBe(1);
      expect([world.budgets.circuit("small"), provider.created.length]).toEqual(["open", 1]);
      pass(MAX_PAUSE_MS);
      await expect.poll(() => provider.created).toHaveLength(2);
    });
  });

  it("leaves a template with a fallback alone that lost three machines, and goes on with one that has none", async () => {
    for (const [fallback, circuit] of [
      ["on-demand", "open"],
      [null, "closed"],
    ] as const) {
      const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
      plane.jobs = 3;
      const { world } = start(plane, provider, { fallback });
      await expect.poll(() => [...plane.records.values()].filter(({ state }) => state !== "planned").length).toBe(3);
      const lose = (count: number) => {
        for (const record of [...plane.records.values()].slice(0, count))
          Object.assign(record, { registered: true, claimed: true, lost_job: true });
      };
      lose(2);
      await expect.poll(() => world.monitor.counters.get("lost")).toBe(2);
      expect(world.budgets.circuit("small")).toBe("closed");
      lose(3);
      await expect.poll(() => world.monitor.counters.get("lost")).toBe(3);
      expect(world.budgets.circuit("small")).toBe(circuit);
      await stop();
    }
  });

  it("only watches while another daemon has the pool, and ends for good when its token is revoked", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    const refused = (status: number, code: string, details: unknown) =>
      new RefusedError({ status, code, message: code, details, retryAfterMs: 0 });
    plane.jobs = 1;
    plane.fault = refused(409, "provisioner-pool-held", { host: "other" });
    const held = start(plane, provider);
    await expect.poll(() => held.world.monitor.heldBy?.host).toBe("other");
    expect(provider.created).toEqual([]);
    await stop();
    expect(plane.hasLetGo).toBe(false);
    plane.fault = refused(401, "provisioner-token-revoked", null);
    expect(await start(plane, provider).ended).toBe("token-refused");
  });

  it("is not drained while a machine works, even when its record has ended", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 1;
    const { daemon, ended, world } = start(plane, provider);
    await expect.poll(() => [...plane.records.values()].map(({ state }) => state)).toEqual(["running"]);
    const [record] = plane.records.values();
    Object.assign(record ?? {}, { state: "terminated", registered: true, claimed: true, bound_job: JOB });
    daemon.drain();
    const lists = () => world.monitor.counters.get("lists") ?? 0;
    const before = lists();
    await expect.poll(lists).toBeGreaterThan(before + 3);
    expect(provider.machines.size).toBe(1);
    Object.assign(record ?? {}, { bound_job: null, desired_intent: "terminate" });
    expect(await ended).toBe("drained");
    expect(provider.machines.size).toBe(0);
  });

  it("is drained at once when the pool is another's, and takes neither it nor a machine", async () => {
    const poolHeld = new RefusedError({
      status: 409,
      code: "provisioner-pool-held",
      message: "held",
      details: { host: "other" },
      retryAfterMs: 0,
    });
    for (const isKnown of [true, false]) {
      const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
      plane.jobs = 2;
      start(plane, provider);
      await expect.poll(() => [...plane.records.values()].filter(({ state }) => state === "running").length).toBe(2);
      await stop();
      plane.fault = poolHeld;
      const { daemon, ended, world } = start(plane, provider);
      if (isKnown) await expect.poll(() => world.monitor.heldBy?.host).toBe("other");
      daemon.drain();
      plane.fault = isKnown ? null : plane.fault;
      expect(await ended).toBe("drained");
      expect([provider.machines.size, provider.deleted]).toEqual([2, []]);
    }
  });

  it("leaves machines when it is stopped; drains idle ones and waits for the busy ones when it is drained", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 2;
    start(plane, provider);
    await expect.poll(() => [...plane.records.values()].filter(({ state }) => state !== "planned").length).toBe(2);
    await stop();
    expect([provider.machines.size, plane.hasLetGo]).toEqual([2, true]);
    const [busy, idle] = [...plane.records.values()];
    Object.assign(busy ?? {}, { registered: true, claimed: true, bound_job: JOB });
    Object.assign(idle ?? {}, { registered: true });
    const { daemon, ended } = start(plane, provider);
    daemon.drain();
    await expect.poll(() => provider.deleted).toEqual([`m-${idle?.runner_instance_id}`]);
    Object.assign(busy ?? {}, { bound_job: null, desired_intent: "terminate" });
    expect(await ended).toBe("drained");
    expect(provider.machines.size).toBe(0);
  });

  it("is not drained before what was made during its last comparison is gone", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 1;
    const { daemon, ended } = start(plane, provider);
    await expect.poll(() => [...plane.records.values()].map(({ state }) => state)).toEqual(["running"]);
    const [deletion, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    provider.onDelete = () => {
      deletion.resolve();
      return answer.promise;
    };
    const [former] = plane.records.values();
    Object.assign(former ?? {}, { registered: true, claimed: true, desired_intent: "terminate" });
    await deletion.promise;
    // Its end is known by other ways, so that the next job is not kept waiting for the answer.
    Object.assign(former ?? {}, { state: "stopped" });
    await expect.poll(() => provider.created).toHaveLength(2);
    daemon.drain();
    answer.resolve();
    expect(await ended).toBe("drained");
    expect(provider.machines.size).toBe(0);
    expect([...plane.records.values()].filter((record) => !hasEnded(record))).toEqual([]);
  });

  it("is not drained while the provider does not delete a machine that is over", async () => {
    const [plane, provider] = [new StandInPlane(), new SimulatedProvider()];
    plane.jobs = 1;
    const { daemon, ended } = start(plane, provider);
    await expect.poll(() => [...plane.records.values()].map(({ state }) => state)).toEqual(["running"]);
    let refusals = 0;
    provider.onDelete = async () => {
      refusals += 1;
      if (refusals < 4) throw new ProviderError("throttled", "too often");
    };
    plane.jobs = 0;
    for (const record of plane.records.values()) Object.assign(record, { registered: true });
    for (const machine of provider.machines.values()) Object.assign(machine, { state: "stopped" });
    daemon.drain();
    expect(await ended).toBe("drained");
    expect(provider.machines.size).toBe(0);
  });
});
