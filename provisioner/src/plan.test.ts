import { describe, expect, it } from "vitest";
import { planOf } from "./plan.ts";
import type { Allowance, Counts, Situation } from "./policy-port.ts";
import type { Template } from "./templates/template.ts";

const NOW = Date.parse("2026-03-02T12:00:00Z");
const FREE: Allowance = { creations: 100, fault: null, isTrial: false };

function template(key: string, over: Partial<Template> = {}): Template {
  return {
    key,
    labels: ["linux"],
    capabilities: [],
    sandbox: "host",
    runnerApiUrl: "http://127.0.0.1:1",
    machine: {},
    maxConcurrency: 5,
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
    ...over,
  };
}

interface Given {
  readonly counts?: Readonly<Record<string, Partial<Counts>>>;
  readonly allowances?: Readonly<Record<string, Allowance>>;
  readonly maxInstances?: number;
  readonly creationsLeft?: number;
}

function situation(templates: readonly Template[], given: Given = {}): Situation {
  const none = { starting: 0, idle: [], busy: 0, leaving: 0 };
  return {
    file: {
      pool: "main",
      provider: { kind: "simulated", settings: {} },
      limits: { maxInstances: given.maxInstances ?? 100, maxCreationsPerHour: 100, maxDeletionsPerMinute: 100 },
      templates,
    },
    counts: new Map(Object.entries(given.counts ?? {}).map(([key, own]) => [key, { ...none, ...own }])),
    allowances: new Map(templates.map(({ key }) => [key, given.allowances?.[key] ?? FREE])),
    creationsLeft: given.creationsLeft ?? 100,
    now: NOW,
  };
}

const jobs = (queued: number, covered = 0, labels = ["linux"]) => ({ labels, capabilities: [], queued, covered });
const demand = (...stats: ReturnType<typeof jobs>[]) => ({ stats, unmatched: [] });
const firstOf = (given: Situation, ...stats: ReturnType<typeof jobs>[]) =>
  planOf(given, demand(...stats), null).groups[0];

describe("the plan", () => {
  it("takes the template that comes first, and says of the other why it comes after", () => {
    const cases: [Partial<Template>, Partial<Template>, string][] = [
      [{ preference: 1 }, { preference: 2 }, "a is preferred: preference 1 before 2"],
      [{ costPerHour: 0.1 }, { costPerHour: 0.2 }, "a is cheaper: cost 0.1, this one cost 0.2"],
      [{ costPerHour: 0.1 }, {}, "a is cheaper: cost 0.1, this one no cost given"],
      [{}, { labels: ["linux", "x64"] }, "a has fewer labels that nobody asked for"],
      [{}, {}, "a comes first by its name"],
      [{ fallback: "b" }, { preference: 9 }, "the fallback of a"],
    ];
    for (const [first, second, why] of cases)
      expect(firstOf(situation([template("a", first), template("b", second)]), jobs(2))).toMatchObject({
        left: 0,
        why: "2 would be created",
        templates: [
          { template_key: "a", create: 2, why: "comes first of 2 that fit" },
          { template_key: "b", create: 0, why },
        ],
      });
  });

  it("says which bound keeps a template from more, and takes the next one for the rest", () => {
    const fault = { kind: "circuit_open" as const, message: "no such image", next_try_at: "2026-03-02T12:01:00Z" };
    const outage = { kind: "provider_error" as const, message: "time-out" };
    const cases: [Partial<Template>, Given, string][] = [
      [{ maxConcurrency: 2 }, { counts: { a: { busy: 1, leaving: 1 } } }, "max_concurrency 2 is reached: 2 are there"],
      [{ burst: 1 }, { counts: { a: { starting: 1 } } }, "burst 1 is reached: 1 are on their way"],
      [
        { maxCreationsPerHour: 7 },
        { allowances: { a: { ...FREE, creations: 0 } } },
        "max_creations_per_hour 7 is reached",
      ],
      [
        {},
        { allowances: { a: { creations: 0, fault, isTrial: false } } },
        "its circuit is open until 2026-03-02T12:01:00Z: no such image",
      ],
      [
        {},
        { allowances: { a: { creations: 0, fault: outage, isTrial: false } } },
        "the provider does not answer: time-out",
      ],
      [
        {
          schedules: [{ cron: "0 8 * * mon", timezone: "UTC", durationMs: 36_000_000, idle: null, maxConcurrency: 0 }],
        },
        {},
        'max_concurrency 0 of its schedule "0 8 * * mon" is reached',
      ],
    ];
    for (const [over, given, why] of cases)
      expect(firstOf(situation([template("a", over), template("b", { preference: 1 })], given), jobs(1))).toMatchObject(
        {
          left: 0,
          templates: [
            { template_key: "a", create: 0, why },
            { template_key: "b", create: 1 },
          ],
        },
      );
  });

  it("lets one machine try after a failure, and the rest wait", () => {
    const trial = situation([template("a")], { allowances: { a: { creations: 1, fault: null, isTrial: true } } });
    expect(firstOf(trial, jobs(3))).toMatchObject({
      left: 2,
      why: "1 would be created; 2 must wait: no template has room",
      templates: [{ create: 1, why: "one machine tries first whether it works again" }],
    });
  });

  it("counts what one group takes for the next, up to the limits of all", () => {
    const templates = [template("a"), template("b", { labels: ["gpu"] })];
    const { groups } = planOf(
      situation(templates, { maxInstances: 3, creationsLeft: 3 }),
      demand(jobs(2), jobs(2, 0, ["gpu"])),
      null,
    );
    expect(groups.map(({ left }) => left)).toEqual([0, 1]);
    expect(groups[1]?.templates[0]).toMatchObject({
      create: 1,
      why: "limits.max_instances 3 is reached; limits.max_creations_per_hour 100 is reached",
    });
  });

  it("creates nothing for jobs that a runner takes", () => {
    const plan = firstOf(situation([template("a")]), jobs(2, 2));
    expect(plan).toMatchObject({ left: 0, why: "a runner that is idle, starting or reserved takes them" });
    expect(plan?.templates).toMatchObject([{ create: 0, why: "the only template that fits" }]);
    expect(firstOf(situation([template("a")]), jobs(3, 2))?.why).toBe(
      "a runner that is idle, starting or reserved takes 2 of them; 1 would be created",
    );
  });

  it("names what no template gives, and the template that lacks least", () => {
    const given = situation([template("a"), template("b", { labels: ["linux", "arm64"] })]);
    const unmatched = { labels: ["arm64", "gpu", "linux"], capabilities: ["image"], queued: 2, covered: 0 };
    const { groups } = planOf(given, { stats: [], unmatched: [unmatched] }, "draining");
    expect(groups).toEqual([
      { ...unmatched, left: 2, why: "no template fits; the nearest one, b, lacks gpu, image", templates: [] },
    ]);
    const taken = planOf(given, { stats: [], unmatched: [{ ...unmatched, covered: 2 }] }, null);
    expect(taken.groups).toMatchObject([{ left: 0, why: "a runner that is idle, starting or reserved takes them" }]);
  });

  it("fills the idle pools with what is left, and names the schedule that is open or opens next", () => {
    const schedule = { timezone: "UTC", durationMs: 3_600_000, idle: 2, maxConcurrency: null };
    const { pools } = planOf(
      situation(
        [
          template("always", { idle: 2 }),
          template("closed", { schedules: [{ ...schedule, cron: "0 13 * * *" }] }),
          template("never"),
          template("open", { schedules: [{ ...schedule, cron: "30 11 * * *" }], maxConcurrency: 1 }),
        ],
        { counts: { always: { starting: 1 } } },
      ),
      demand(),
      null,
    );
    expect(pools).toEqual([
      { template_key: "always", idle: 2, ready: 1, create: 1, why: "its idle pool" },
      {
        template_key: "closed",
        idle: 0,
        ready: 0,
        create: 0,
        why: "outside its schedules; the next one opens at 2026-03-02T13:00:00.000Z",
      },
      { template_key: "open", idle: 1, ready: 0, create: 1, why: 'its schedule "30 11 * * *" is open' },
    ]);
  });
});
