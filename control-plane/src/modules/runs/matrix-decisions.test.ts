import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isTerminal } from "./model.ts";
import { type GraphJob, RunGraph } from "./run-graph.fixture.ts";

const matrixOf = (count: number, matrix: Partial<NonNullable<GraphJob["matrix"]>> = {}): GraphJob[] =>
  Array.from({ length: count }, (_, index) => ({
    key: `test (${index + 1})`,
    needs: [],
    matrix: { job: "test", maxParallel: null, failFast: true, ...matrix },
  }));
const after: GraphJob = { key: "after", needs: ["test"] };

describe("jobs of a matrix", () => {
  it("start together, and are needed together", () => {
    const run = new RunGraph([...matrixOf(2), after]);
    expect(run.advance()).toEqual(["test (1)", "test (2)"]);
    run.end("test (1)", "succeeded");
    expect(run.advance()).toEqual([]);
    run.end("test (2)", "succeeded");
    expect(run.advance()).toEqual(["after"]);
  });

  it("start as many as `max_parallel` lets, in their order, and leave their place to the next one", () => {
    const run = new RunGraph(matrixOf(4, { maxParallel: 2 }));
    expect(run.advance()).toEqual(["test (1)", "test (2)"]);
    expect(run.advance()).toEqual([]);
    run.end("test (2)", "succeeded");
    expect(run.advance()).toEqual(["test (3)"]);
  });

  it("end each other when one fails", () => {
    const run = new RunGraph([...matrixOf(4, { maxParallel: 3 }), after]);
    run.advance();
    run.end("test (1)", "succeeded");
    run.end("test (2)", "failed");
    expect(run.advance()).toEqual([]);
    expect(["test (3)", "test (4)", "after"].map((key) => run.statusOf(key))).toEqual([
      "cancelled",
      "cancelled",
      "skipped",
    ]);
    expect(run.finish).toBe("failed");
  });

  it("go on without `fail_fast`", () => {
    const run = new RunGraph([...matrixOf(2, { failFast: false }), after]);
    run.advance();
    run.end("test (1)", "failed");
    expect(run.going).toEqual(["test (2)"]);
    run.end("test (2)", "succeeded");
    run.advance();
    expect(run.statusOf("after")).toBe("skipped");
  });

  it("keep to their bounds and come to an end, whatever ends in which order", () => {
    const matrices = fc.array(
      fc.record({
        jobs: fc.array(fc.record({ succeeds: fc.boolean(), hasCondition: fc.boolean(), holds: fc.boolean() }), {
          minLength: 1,
          maxLength: 6,
        }),
        maxParallel: fc.option(fc.integer({ min: 1, max: 4 })),
        failFast: fc.boolean(),
        needsPrevious: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(matrices, fc.infiniteStream(fc.nat()), (plans, picks) => {
        const flat = plans.flatMap(({ jobs, maxParallel, failFast, needsPrevious }, index) =>
          jobs.map((job, position) => ({
            ...job,
            key: `m${index} (${position})`,
            needs: needsPrevious && index > 0 ? [`m${index - 1}`] : [],
            matrix: { job: `m${index}`, maxParallel, failFast },
          })),
        );
        const run = new RunGraph(flat);
        const started = new Set<string>();
        const holds = (key: string) => flat.find((job) => job.key === key)?.holds ?? false;
        for (let rounds = 0; run.finish === null; rounds += 1) {
          expect(rounds).toBeLessThanOrEqual(flat.length);
          for (const key of run.advance(holds)) {
            expect(started.has(key)).toBe(false);
            started.add(key);
          }
          const { going } = run;
          for (const [index, { maxParallel, failFast }] of plans.entries()) {
            const members = flat.filter(({ matrix }) => matrix.job === `m${index}`).map(({ key }) => key);
            expect(going.filter((key) => members.includes(key)).length).toBeLessThanOrEqual(
              maxParallel ?? members.length,
            );
            const ends = members.map((key) => run.statusOf(key));
            if (failFast && ends.includes("failed")) expect(ends.every(isTerminal)).toBe(true);
          }
          if (going.length === 0) break;
          const ended = going[(picks.next().value as number) % going.length];
          const job = flat.find(({ key }) => key === ended);
          if (job) run.end(job.key, job.succeeds ? "succeeded" : "failed");
        }
        const ends = flat.map(({ key }) => run.statusOf(key));
        expect(ends.every(isTerminal)).toBe(true);
        expect(run.finish).toBe(ends.includes("failed") ? "failed" : "succeeded");
      }),
      { numRuns: 300 },
    );
  });
});
