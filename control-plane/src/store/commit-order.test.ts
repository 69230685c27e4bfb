import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CommitOrder } from "./commit-order.ts";
import type { RunEvent } from "./store.ts";
import { eventOf } from "./test-schema.ts";

function eventsOf(...workspaces: string[]): RunEvent[] {
  return workspaces.map((workspace) => ({ ...eventOf(workspace), id: 1 }));
}

describe("the order of what follows commits", () => {
  it("holds a unit back while one before it in its workspace is undecided, and no other", () => {
    const order = new CommitOrder();
    const told: string[] = [];
    const first = order.enter(eventsOf("w1"));
    const second = order.enter(eventsOf("w1"));
    const elsewhere = order.enter(eventsOf("w2"));
    const silent = order.enter([]);
    order.leave(second, () => told.push("second"));
    order.leave(elsewhere, () => told.push("elsewhere"));
    order.leave(silent, () => told.push("silent"));
    expect(told).toEqual(["elsewhere", "silent"]);
    order.leave(first, () => told.push("first"));
    expect(told).toEqual(["elsewhere", "silent", "first", "second"]);
  });

  it("lets everybody through once, in the order of each workspace, however the answers arrive", () => {
    const units = fc.array(fc.uniqueArray(fc.constantFrom("w1", "w2", "w3")), { maxLength: 12 });
    const scenario = units.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray([...list.keys()], { minLength: list.length })),
    );
    fc.assert(
      fc.property(scenario, ([list, answers]) => {
        const order = new CommitOrder();
        const places = list.map((workspaces) => order.enter(eventsOf(...workspaces)));
        const told: number[] = [];
        for (const index of answers) {
          const place = places[index];
          if (place) order.leave(place, () => told.push(index));
        }
        expect(told.toSorted((a, b) => a - b)).toEqual([...list.keys()]);
        for (const workspace of ["w1", "w2", "w3"] as const) {
          const own = told.filter((index) => list[index]?.includes(workspace));
          expect(own).toEqual(own.toSorted((a, b) => a - b));
        }
      }),
    );
  });
});
