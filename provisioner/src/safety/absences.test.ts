import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Absences, CONFIRM_MS, CONFIRMATIONS, judgeAbsences, NO_ABSENCES } from "./absences.ts";

const LONG_AGO = Number.NEGATIVE_INFINITY;
const fleet = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: `i${index}`,
    creatingUntil: LONG_AGO,
    isBusy: false,
    mayBeMissing: false,
  }));

describe("machines that a whole list misses", () => {
  const judge = (absences: Absences, count: number, observed: string[], startedAt: number, listLagMs = 0) =>
    judgeAbsences(absences, { expected: fleet(count), observed: new Set(observed), startedAt, listLagMs });

  it("are gone at once when they are few", () => {
    expect([...judge(NO_ABSENCES, 3, ["i0", "i1"], 0).gone]).toEqual(["i2"]);
  });

  it("are doubted when the list is suddenly empty, until several lists over a minute say so", () => {
    let absences = NO_ABSENCES;
    for (const startedAt of [0, CONFIRM_MS / 2]) {
      const judged = judge(absences, 1, [], startedAt);
      expect([judged.gone.size, judged.doubted.size, judged.confirmedEmpty]).toEqual([0, 1, false]);
      absences = judged.absences;
    }
    const judged = judge(absences, 1, [], CONFIRM_MS);
    expect([judged.gone.size, judged.doubted.size, judged.confirmedEmpty]).toEqual([1, 0, true]);
  });

  it("are doubted one by one while they work, until several lists over a minute say so", () => {
    const expected = fleet(3).map((one) => ({ ...one, isBusy: one.id === "i2" }));
    const list = { expected, observed: new Set(["i0"]), listLagMs: 0 };
    const first = judgeAbsences(NO_ABSENCES, { ...list, startedAt: 0 });
    expect([[...first.gone], [...first.doubted], first.suspicious]).toEqual([["i1"], ["i2"], 1]);
    const second = judgeAbsences(first.absences, { ...list, startedAt: CONFIRM_MS - 1 });
    expect([...second.doubted]).toEqual(["i2"]);
    const third = judgeAbsences(second.absences, { ...list, startedAt: CONFIRM_MS });
    expect([[...third.gone], third.suspicious]).toEqual([["i1", "i2"], 0]);
    const fourth = judgeAbsences(third.absences, { ...list, startedAt: CONFIRM_MS + 1 });
    expect([...fourth.gone]).toEqual(["i1", "i2"]);
  });

  it("are gone however many when they may be missing, and are no sign against the list, but for an empty one", () => {
    const expected = fleet(9).map((one, index) => ({ ...one, mayBeMissing: index > 2 }));
    const judgeList = (...observed: string[]) =>
      judgeAbsences(NO_ABSENCES, { expected, observed: new Set(observed), startedAt: 0, listLagMs: 0 });
    expect(judgeList("i0").gone.size).toBe(8);
    expect([judgeList().gone.size, judgeList().confirmedEmpty]).toEqual([0, false]);
  });

  it("are doubted anew when they were seen in between", () => {
    const once = judge(NO_ABSENCES, 9, [], 0).absences;
    const seen = judge(
      once,
      9,
      fleet(9).map(({ id }) => id),
      1,
    ).absences;
    const again = judge(judge(seen, 9, [], 2).absences, 9, [], 2 + CONFIRM_MS);
    expect(again.gone.size).toBe(0);
  });

  it("are doubted as long as the provider may not show yet what was just made", () => {
    const expected = [{ id: "new", creatingUntil: 100, isBusy: false, mayBeMissing: false }];
    const list = { expected, observed: new Set(["other"]), listLagMs: 50 };
    expect(judgeAbsences(NO_ABSENCES, { ...list, startedAt: 149 }).doubted.has("new")).toBe(true);
    expect(judgeAbsences(NO_ABSENCES, { ...list, startedAt: 150 }).gone.has("new")).toBe(true);
  });

  it("never go many at once on the word of fewer lists, whatever the history", () => {
    const step = fc.record({
      after: fc.integer({ min: 1, max: 60_000 }),
      seen: fc.subarray(fleet(20).map(({ id }) => id)),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let absences = NO_ABSENCES;
        let now = 0;
        const missed = new Map<string, { lists: number; since: number }>();
        for (const { after, seen } of steps) {
          now += after;
          const judged = judge(absences, 20, seen, now);
          absences = judged.absences;
          for (const { id } of fleet(20)) {
            if (seen.includes(id)) missed.delete(id);
            else missed.set(id, { lists: (missed.get(id)?.lists ?? 0) + 1, since: missed.get(id)?.since ?? now });
          }
          for (const id of judged.gone) expect(seen).not.toContain(id);
          expect(judged.gone.size + judged.doubted.size).toBe(20 - seen.length);
          if (seen.length > 0 && missed.size <= 4) continue;
          for (const id of judged.gone) {
            expect(missed.get(id)?.lists).toBeGreaterThanOrEqual(CONFIRMATIONS);
            expect(now - (missed.get(id)?.since ?? now)).toBeGreaterThanOrEqual(CONFIRM_MS);
          }
        }
      }),
    );
  });
});
