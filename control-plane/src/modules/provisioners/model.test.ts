import { instanceStateSchema, type InstanceState } from "@shipfox/shared/provisioner";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decideDemand,
  decideReport,
  type FreeSlots,
  hasEnded,
  satisfies,
  type Supply,
  type WaitingSet,
} from "./model.ts";

const LABELS = ["linux", "arm", "gpu"];
const ability = (labels: string[], capabilities: string[] = []) => ({
  labels: new Set(labels),
  capabilities: new Set(capabilities),
});
const set = (id: string, labels: string[], queued: number, capabilities: string[] = []): WaitingSet => ({
  id,
  labels,
  capabilities,
  queued,
});
const grants = (...args: Parameters<typeof decideDemand>) =>
  decideDemand(...args).map(({ set: { id }, covered, grant }) => `${id} ${covered}+${grant}`);

describe("what a provisioner is asked for", () => {
  it("is what no runner is there for, up to the slots", () => {
    const slots: FreeSlots[] = [{ ...ability(["linux"]), key: "t", free: 2 }];
    expect(grants([set("a", ["linux"], 5)], [{ ...ability(["linux"]), count: 1 }], slots, 100)).toEqual(["a 1+2"]);
  });

  it("goes to the most demanding jobs first, out of the least able templates", () => {
    const slots: FreeSlots[] = [
      { ...ability(["linux", "gpu"]), key: "big", free: 1 },
      { ...ability(["linux"]), key: "small", free: 5 },
    ];
    const sets = [set("plain", ["linux"], 1), set("gpu", ["gpu", "linux"], 1)];
    expect(grants(sets, [], slots, 100)).toEqual(["gpu 0+1", "plain 0+1"]);
    expect(grants([set("plain", ["linux"], 6)], [], slots, 100)).toEqual(["plain 0+6"]);
  });

  it("counts a runner that was made for a set for that set, and for others when it is not needed there", () => {
    const supply: Supply[] = [{ ...ability(["linux", "gpu"]), count: 2, forSet: "plain" }];
    const sets = [set("plain", ["linux"], 1), set("gpu", ["gpu"], 1)];
    expect(grants(sets, supply, [], 100)).toEqual(["gpu 1+0", "plain 1+0"]);
  });

  it("needs the capabilities as well", () => {
    const slots: FreeSlots[] = [{ ...ability(["linux"], ["files"]), key: "t", free: 5 }];
    expect(grants([set("a", ["linux"], 1, ["image"]), set("b", ["linux"], 1, ["files"])], [], slots, 100)).toEqual([
      "a 0+0",
      "b 0+1",
    ]);
  });

  it("never covers a job twice, exceeds a template, or goes over the most that was asked for", () => {
    const labels = fc.uniqueArray(fc.constantFrom(...LABELS), { minLength: 1 });
    const some = { maxLength: 5 };
    fc.assert(
      fc.property(
        fc.array(fc.record({ labels, queued: fc.nat(5) }), some),
        fc.array(fc.record({ labels, count: fc.nat(4), forSet: fc.option(fc.nat(4)) }), some),
        fc.array(fc.record({ labels, free: fc.nat(4) }), some),
        fc.nat(10),
        (wanted, runners, templates, max) => {
          const sets = wanted.map((each, index) => set(`s${index}`, each.labels, each.queued));
          const supply = runners.map((each): Supply => {
            const forSet = sets[each.forSet ?? -1];
            const made = forSet && satisfies(ability(each.labels), forSet) ? { forSet: forSet.id } : {};
            return { ...ability(each.labels), count: each.count, ...made };
          });
          const slots = templates.map((each, index) => ({
            ...ability(each.labels),
            key: `t${index}`,
            free: each.free,
          }));
          const demand = decideDemand(sets, supply, slots, max);
          const total = (key: "covered" | "grant") => demand.reduce((sum, each) => sum + each[key], 0);
          expect(total("grant")).toBeLessThanOrEqual(max);
          expect(total("grant")).toBeLessThanOrEqual(slots.reduce((sum, { free }) => sum + free, 0));
          expect(total("covered")).toBeLessThanOrEqual(supply.reduce((sum, { count }) => sum + count, 0));
          for (const { set: own, covered, grant } of demand) {
            expect(covered + grant).toBeLessThanOrEqual(own.queued);
            const able = slots.filter((slot) => satisfies(slot, own)).reduce((sum, { free }) => sum + free, 0);
            expect(grant).toBeLessThanOrEqual(able);
            // Nothing that could be started is left undone.
            if (able >= own.queued && demand.length === 1 && max >= own.queued)
              expect(covered + grant).toBe(own.queued);
          }
        },
      ),
    );
  });
});

describe("the state of an instance", () => {
  it("only goes forward, whatever is reported in which order, and its first end stays", () => {
    const states = fc.constantFrom(...instanceStateSchema.options);
    fc.assert(
      fc.property(fc.array(states), (reports) => {
        let state: InstanceState = "planned";
        let end: InstanceState | null = null;
        for (const reported of reports) {
          const next = decideReport(state, reported);
          expect(instanceStateSchema.options.indexOf(next)).toBeGreaterThanOrEqual(
            instanceStateSchema.options.indexOf(state),
          );
          if (end) expect(next).toBe(end);
          else if (hasEnded(next)) end = next;
          state = next;
        }
      }),
    );
  });
});
