import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideRun, isTerminal, type JobState } from "./model.ts";

const member = (
  index: number,
  status: JobState["status"],
  matrix: Partial<NonNullable<JobState["matrix"]>> = {},
): JobState => ({
  key: `test (${index})`,
  status,
  needs: [],
  matrix: { job: "test", maxParallel: null, failFast: true, ...matrix },
});
const after: JobState = { key: "after", status: "pending", needs: ["test"] };

describe("jobs of a matrix", () => {
  it.each<[string, JobState[], string[], Partial<ReturnType<typeof decideRun>>]>([
    [
      "start together",
      [member(1, "pending"), member(2, "pending"), after],
      [],
      { start: ["test (1)", "test (2)"], finish: null },
    ],
    [
      "start as many as `max_parallel` lets, in their order",
      [1, 2, 3].map((index) => member(index, "pending", { maxParallel: 2 })),
      [],
      { start: ["test (1)", "test (2)"] },
    ],
    [
      "leave their place to the next one when they end",
      [
        member(1, "succeeded", { maxParallel: 2 }),
        member(2, "running", { maxParallel: 2 }),
        member(3, "pending", { maxParallel: 2 }),
        member(4, "pending", { maxParallel: 2 }),
      ],
      ["test (1)", "test (2)"],
      { start: ["test (3)"] },
    ],
    [
      "keep their place while they wait for a runner",
      [member(1, "pending", { maxParallel: 1 }), member(2, "pending", { maxParallel: 1 })],
      ["test (1)"],
      { start: [] },
    ],
    [
      "are needed together",
      [member(1, "succeeded"), member(2, "running"), after],
      ["test (1)", "test (2)"],
      { start: [], skip: [], finish: null },
    ],
    [
      "let others start when all have succeeded",
      [member(1, "succeeded"), member(2, "succeeded"), after],
      ["test (1)", "test (2)"],
      { start: ["after"] },
    ],
    [
      "end each other when one fails",
      [member(1, "failed"), member(2, "running"), member(3, "pending"), member(4, "succeeded"), after],
      ["test (1)", "test (2)"],
      { cancel: ["test (2)", "test (3)"], start: [], skip: ["after"], finish: "failed" },
    ],
    [
      "go on without `fail_fast`",
      [member(1, "failed", { failFast: false }), member(2, "pending", { failFast: false }), after],
      ["test (1)"],
      { cancel: [], start: ["test (2)"], skip: [], finish: null },
    ],
  ])("%s", (_title, jobs, started, expected) => {
    expect(decideRun(jobs, new Set(started))).toMatchObject(expected);
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
        const statuses = new Map<string, JobState["status"]>(flat.map(({ key }) => [key, "pending"]));
        const started = new Set<string>();
        const accepted = new Set<string>();
        const ofMatrix = (name: string) => flat.filter(({ matrix }) => matrix.job === name);
        const goingOf = (name: string) =>
          ofMatrix(name).filter(({ key }) => started.has(key) && !isTerminal(statuses.get(key) ?? "")).length;
        const end = (key: string, status: JobState["status"]) => {
          expect(isTerminal(statuses.get(key) ?? "")).toBe(false);
          statuses.set(key, status);
        };
        for (let rounds = 0; rounds < 200; rounds += 1) {
          const states = flat.map(({ key, needs, hasCondition, matrix }) => ({
            key,
            needs,
            hasCondition,
            matrix,
            status: statuses.get(key) ?? "pending",
          }));
          const verdict = decideRun(states, started, accepted);
          for (const key of verdict.cancel) end(key, "cancelled");
          for (const key of verdict.skip) end(key, "skipped");
          for (const key of verdict.ask) {
            if (flat.find((job) => job.key === key)?.holds) accepted.add(key);
            else end(key, "skipped");
          }
          if (verdict.ask.length > 0) continue;
          for (const key of verdict.start) {
            expect(started.has(key)).toBe(false);
            started.add(key);
          }
          for (const [index, { maxParallel, failFast }] of plans.entries()) {
            expect(goingOf(`m${index}`)).toBeLessThanOrEqual(maxParallel ?? Number.POSITIVE_INFINITY);
            const ends = ofMatrix(`m${index}`).map(({ key }) => statuses.get(key) ?? "");
            if (failFast && ends.includes("failed")) expect(ends.every(isTerminal)).toBe(true);
          }
          const running = flat.filter(({ key }) => started.has(key) && !isTerminal(statuses.get(key) ?? ""));
          if (verdict.finish !== null) {
            expect(running).toEqual([]);
            expect([...statuses.values()].every(isTerminal)).toBe(true);
            expect(verdict.finish).toBe([...statuses.values()].includes("failed") ? "failed" : "succeeded");
            return;
          }
          expect(running.length).toBeGreaterThan(0);
          const job = running[(picks.next().value as number) % running.length];
          if (job) end(job.key, job.succeeds ? "succeeded" : "failed");
        }
        expect.unreachable();
      }),
      { numRuns: 300 },
    );
  });

  it("are decided in a time that grows with their number, not with its square", () => {
    const size = 500;
    const jobs = (name: string, needs: string[], status: JobState["status"]): JobState[] =>
      Array.from({ length: size }, (_, index) => ({
        key: `${name} (${index})`,
        status,
        needs,
        matrix: { job: name, maxParallel: 10, failFast: true },
      }));
    const all = [...jobs("first", [], "succeeded"), ...jobs("second", ["first"], "pending")];
    let reads = 0;
    const counted = all.map((job) =>
      Object.defineProperty({ ...job }, "needs", {
        get: () => {
          reads += 1;
          return job.needs;
        },
      }),
    );
    expect(decideRun(counted, new Set(all.slice(0, size).map(({ key }) => key))).start).toHaveLength(10);
    expect(reads).toBeLessThanOrEqual(4 * size);
  });
});
