import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findCycles, type JobGraph } from "./job-graph.ts";

const JOBS = ["a", "b", "c", "d", "e", "f", "g"];

const graphs: fc.Arbitrary<JobGraph> = fc
  .array(fc.uniqueArray(fc.constantFrom(...JOBS), { maxLength: 3 }), { minLength: JOBS.length, maxLength: JOBS.length })
  .map((needs) => new Map(JOBS.map((job, index) => [job, (needs[index] ?? []).filter((need) => need !== job)])));

/** By definition: some job reaches itself. */
function someJobWaitsForItself(graph: JobGraph): boolean {
  return JOBS.some((start) => {
    const reached = new Set<string>();
    const pending = [...(graph.get(start) ?? [])];
    for (let job = pending.pop(); job !== undefined; job = pending.pop()) {
      if (reached.has(job)) continue;
      reached.add(job);
      pending.push(...(graph.get(job) ?? []));
    }
    return reached.has(start);
  });
}

describe("findCycles", () => {
  it("finds a cycle exactly when some job waits for itself", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        expect(findCycles(graph).length > 0).toBe(someJobWaitsForItself(graph));
      }),
    );
  });

  it("names jobs that really wait for each other, no job in two cycles, the first in file order first", () => {
    fc.assert(
      fc.property(graphs, (graph) => {
        const cycles = findCycles(graph);
        for (const cycle of cycles) {
          for (const [index, job] of cycle.entries())
            expect(graph.get(job)).toContain(cycle[(index + 1) % cycle.length]);
          expect(cycle[0]).toBe(cycle.toSorted()[0]);
        }
        expect(new Set(cycles.flat()).size).toBe(cycles.flat().length);
      }),
    );
  });

  it("follows a chain of any length", () => {
    const length = 20_000;
    const chain = new Map(Array.from({ length }, (_, index) => [`${index}`, [`${(index + 1) % length}`]]));
    expect(findCycles(chain)[0]).toHaveLength(length);
  });
});
