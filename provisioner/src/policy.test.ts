import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { numbersAt } from "./numbers.ts";
import { policy, ranked } from "./policy.ts";
import type { Counts, Situation } from "./policy-port.ts";
import type { Schedule, Template } from "./templates/template.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const BASE: Template = {
  key: "a",
  labels: ["linux"],
  capabilities: ["files"],
  sandbox: "host",
  runnerApiUrl: "http://127.0.0.1:1",
  machine: {},
  maxConcurrency: 10,
  maxCreationsPerHour: 1_000,
  idle: 0,
  schedules: [],
  burst: 1_000,
  bootTimeoutMs: MINUTE,
  idleTimeoutMs: 5 * MINUTE,
  maxLifetimeMs: HOUR,
  costPerHour: null,
  preference: 100,
  fallback: null,
};
const NOW = Date.parse("2026-03-04T12:00:00Z");
const LINUX = { labels: ["linux"], capabilities: [] };

const template = (key: string, over: Partial<Template> = {}): Template => ({ ...BASE, key, ...over });
const idle = (...minutes: number[]) =>
  minutes.map((idleFor, index) => ({ id: `i${index}`, idleForMs: idleFor * MINUTE }));
const counts = (over: Partial<Counts> = {}): Counts => ({ starting: 0, idle: [], busy: 0, leaving: 0, ...over });
const reservation = (count: number, labels = ["linux"], id = "r") => ({
  reservation_id: id,
  labels,
  capabilities: [],
  count,
  expires_at: "",
});

function situation(
  templates: Template[],
  {
    of = {},
    ...over
  }: Partial<Omit<Situation, "counts" | "file">> & { of?: Record<string, Counts>; max?: number } = {},
): Situation {
  return {
    file: {
      pool: "p",
      provider: { kind: "k", settings: {} },
      limits: { maxInstances: over.max ?? 1_000, maxCreationsPerHour: 1_000, maxDeletionsPerMinute: 100 },
      templates,
    },
    counts: new Map(Object.entries(of)),
    allowances: new Map(templates.map(({ key }) => [key, { creations: 1_000, fault: null, isTrial: false }])),
    creationsLeft: 1_000,
    now: NOW,
    ...over,
  };
}

const created = (made: ReturnType<typeof policy.create>) =>
  made.map(({ templateKey, reservationId }) => `${templateKey}:${reservationId ?? "pool"}`);

describe("which machines are made", () => {
  it("is for jobs first, by preference, cost, fewest labels and key, and then for the pools", () => {
    const templates = [
      template("pool", { preference: 900, idle: 1, labels: ["other"] }),
      template("gpu", { labels: ["gpu", "linux"], maxConcurrency: 1 }),
      template("plain", { maxConcurrency: 1 }),
      template("cheap", { costPerHour: 0.1, maxConcurrency: 1 }),
      template("first", { preference: 1, maxConcurrency: 1 }),
    ];
    expect(created(policy.create(situation(templates), [reservation(9)]))).toEqual([
      "first:r",
      "cheap:r",
      "plain:r",
      "gpu:r",
      "pool:pool",
    ]);
  });

  it("goes to the fallback of a template that has no room, before others that would come next", () => {
    const spot = template("spot", { preference: 1, maxConcurrency: 1, fallback: "z-on-demand" });
    const order = ranked(
      [template("middle", { preference: 2 }), spot, template("z-on-demand", { preference: 9 })],
      LINUX,
    );
    expect(order.map(({ key }) => key)).toEqual(["spot", "z-on-demand", "middle"]);
  });

  it("never exceeds any bound, whatever there is and is asked for", () => {
    const number = fc.integer({ min: 0, max: 8 });
    const some = fc.record({
      starting: number,
      busy: number,
      leaving: number,
      ready: number,
      idle: number,
      most: fc.integer({ min: 1, max: 8 }),
    });
    fc.assert(
      fc.property(
        fc.array(some, { minLength: 1, maxLength: 4 }),
        number,
        number,
        number,
        (specs, max, left, wanted) => {
          const templates = specs.map((spec, index) =>
            template(`t${index}`, { maxConcurrency: spec.most, idle: spec.idle }),
          );
          const of = Object.fromEntries(
            specs.map(({ starting, busy, leaving, ready }, index) => [
              `t${index}`,
              counts({ starting, busy, leaving, idle: idle(...Array.from({ length: ready }, () => 0)) }),
            ]),
          );
          const now = situation(templates, { of, creationsLeft: left, max });
          const made = policy.create(now, [reservation(wanted)]);
          const total = specs.reduce((sum, spec) => sum + spec.starting + spec.busy + spec.leaving + spec.ready, 0);
          expect(made.length).toBeLessThanOrEqual(Math.max(0, Math.min(left, max - total)));
          expect(made.filter(({ reservationId }) => reservationId !== null).length).toBeLessThanOrEqual(wanted);
          for (const [index, spec] of specs.entries()) {
            const own = made.filter(({ templateKey }) => templateKey === `t${index}`).length;
            const there = spec.starting + spec.busy + spec.leaving + spec.ready;
            expect(own).toBeLessThanOrEqual(Math.max(0, spec.most - there));
          }
          expect(policy.room(now)).toBe(Math.max(0, Math.min(left, max - total)));
          for (const { available_slots: slots } of policy.advertise(now))
            expect(slots).toBeLessThanOrEqual(policy.room(now));
        },
      ),
    );
  });

  it("is nothing of a template whose circuit is open, which says why", () => {
    const fault = { kind: "circuit_open" as const, message: "it does not boot" };
    const now = { ...situation([BASE]), allowances: new Map([["a", { creations: 0, fault, isTrial: false }]]) };
    expect(policy.create(now, [reservation(1)])).toEqual([]);
    expect(policy.advertise(now)).toMatchObject([{ available_slots: 0, fault }]);
  });
});

describe("which idle runners are sent away", () => {
  const surplus = (over: Partial<Template>, own: Partial<Counts>) =>
    policy.surplus(situation([template("a", over)], { of: { a: counts(own) } }));

  it("are those beyond the pool, oldest first, and only after the idle time", () => {
    expect(surplus({ idle: 1 }, { idle: idle(9, 6, 5, 1) })).toEqual(["i0", "i1", "i2"]);
    expect(surplus({ idle: 4 }, { idle: idle(9, 6, 5, 1) })).toEqual([]);
    expect(surplus({}, { idle: idle(4.9) })).toEqual([]);
  });

  it("are at once those beyond what the template may have at all", () => {
    expect(surplus({ maxConcurrency: 3 }, { busy: 2, idle: idle(0, 0) })).toEqual(["i0"]);
  });
});

describe("schedules", () => {
  const weekdays: Schedule = {
    cron: "0 8 * * mon-fri",
    timezone: "Europe/Berlin",
    durationMs: 10 * HOUR,
    idle: 3,
    maxConcurrency: null,
  };
  const at = (text: string, ...schedules: Schedule[]) => numbersAt(template("a", { schedules }), Date.parse(text));

  it("hold from the minute in which they open for as long as they say, in their own time zone", () => {
    expect(at("2026-03-04T06:59:59Z", weekdays).idle).toBe(0);
    expect(at("2026-03-04T07:00:00Z", weekdays).idle).toBe(3);
    expect(at("2026-03-04T16:59:59Z", weekdays).idle).toBe(3);
    expect(at("2026-03-04T17:00:00Z", weekdays).idle).toBe(0);
    expect(at("2026-07-01T06:00:00Z", weekdays).idle).toBe(3);
    expect(at("2026-03-07T12:00:00Z", weekdays).idle).toBe(0);
  });

  it("count by the last one that is open, and never beyond what it allows in all", () => {
    const lunch: Schedule = { ...weekdays, cron: "0 12 * * *", durationMs: HOUR, idle: 9, maxConcurrency: 2 };
    expect(at("2026-03-04T11:30:00Z", weekdays, lunch)).toMatchObject({ idle: 2, maxConcurrency: 2 });
    expect(at("2026-03-04T13:30:00Z", weekdays, lunch)).toMatchObject({ idle: 3, maxConcurrency: 10 });
  });
});
