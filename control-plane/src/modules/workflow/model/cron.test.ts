import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cronFault, nextFire } from "./cron.ts";

function times(schedule: string, timezone: string, after: string, count: number): string[] {
  const found: string[] = [];
  for (let at = Date.parse(after); found.length < count; ) {
    const next = nextFire({ schedule, timezone, seed: "seed" }, at);
    if (next === null) break;
    found.push(new Date(next).toISOString().replace(":00.000Z", "Z"));
    at = next;
  }
  return found;
}

describe("the times of a schedule", () => {
  it.each([
    // 29 March 2026: Paris has no time between 02:00 and 03:00.
    ["30 2 * * *", "Europe/Paris", "2026-03-28T03:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]],
    ["*/30 2 * * *", "Europe/Paris", "2026-03-28T03:00Z", ["2026-03-30T00:00Z", "2026-03-30T00:30Z"]],
    ["0 * * * *", "Europe/Paris", "2026-03-29T00:00Z", ["2026-03-29T01:00Z", "2026-03-29T02:00Z"]],
    // 25 October 2026: Paris has the hour from 02:00 twice.
    ["30 2 * * *", "Europe/Paris", "2026-10-24T03:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]],
    [
      "30 1-3 * * *",
      "Europe/Paris",
      "2026-10-24T23:00Z",
      ["2026-10-24T23:30Z", "2026-10-25T00:30Z", "2026-10-25T02:30Z"],
    ],
    [
      "30 * * * *",
      "Europe/Paris",
      "2026-10-25T00:00Z",
      ["2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T02:30Z"],
    ],
    // A midnight that is not there, and a change of half an hour.
    ["0 0 * * *", "America/Santiago", "2026-09-05T12:00Z", ["2026-09-06T04:00Z", "2026-09-07T03:00Z"]],
    ["15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]],
    ["30 2 * * MON-FRI", "UTC", "2026-05-01T03:00Z", ["2026-05-04T02:30Z", "2026-05-05T02:30Z"]],
    ["0 12 L * ?", "UTC", "2026-02-01T00:00Z", ["2026-02-28T12:00Z", "2026-03-31T12:00Z"]],
  ])("%s in %s after %s are %j", (schedule, timezone, after, expected) => {
    expect(times(schedule, timezone, after, expected.length)).toEqual(expected);
  });

  it("are each later than the one before, in every zone, for fixed times once a day of the calendar", () => {
    const zones = fc.constantFrom("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC");
    const fields = fc.record({ minute: fc.integer({ min: 0, max: 59 }), hour: fc.integer({ min: 0, max: 23 }) });
    const start = fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2030, 0, 1) });
    fc.assert(
      fc.property(zones, fields, start, (timezone, { minute, hour }, from) => {
        const day = new Intl.DateTimeFormat("en-CA", { timeZone: timezone });
        const days: string[] = [];
        for (let at = from, count = 0; count < 20; count += 1) {
          const next = nextFire({ schedule: `${minute} ${hour} * * *`, timezone, seed: "" }, at);
          expect(next).toBeGreaterThan(at);
          at = next as number;
          days.push(day.format(at));
        }
        expect(new Set(days).size).toBe(days.length);
      }),
      { numRuns: 50 },
    );
  });

  it("take `5/20` as every twentieth from the fifth on", () => {
    const times = [0, 5, 25, 45].map((minute) => Date.UTC(2026, 0, 1, 0, minute));
    for (const [index, time] of times.slice(0, -1).entries()) {
      expect(nextFire({ schedule: "5/20 0 * * *", timezone: "UTC", seed: "" }, time)).toBe(times[index + 1]);
    }
  });

  it("take `H` from what they are chosen by: the same each time, spread over all values", () => {
    const at = (schedule: string, seed: string) => nextFire({ schedule, timezone: "UTC", seed }, Date.UTC(2026, 0, 1));
    expect(at("H H * * *", "one")).toBe(at("H H * * *", "one"));
    const minutes = new Set(Array.from({ length: 500 }, (_, index) => at("H * * * *", `seed ${index}`)));
    expect(minutes.size).toBeGreaterThan(50);
    for (let index = 0; index < 50; index += 1) {
      const first = at("H/15 * * * *", `seed ${index}`) as number;
      const second = nextFire({ schedule: "H/15 * * * *", timezone: "UTC", seed: `seed ${index}` }, first) as number;
      expect(second - first).toBe(15 * 60_000);
    }
    for (const schedule of ["H H H H *", "H H * * H", "H/99 * * * *"]) {
      expect(cronFault(schedule) === null).toBe(schedule !== "H/99 * * * *");
    }
  });
});
