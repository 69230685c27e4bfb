import { TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { WriteTx } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { reportStep } from "../runs/public.ts";
import { TestPlane } from "./test-plane.ts";

interface Plan {
  readonly needs: readonly number[];
  /** What its condition says; null without one. */
  readonly condition: boolean | null;
  readonly fails: boolean;
  readonly matrix: { readonly size: number; readonly maxParallel: number | null; readonly failFast: boolean } | null;
}

const plan = (index: number): fc.Arbitrary<Plan> =>
  fc.record({
    needs: index === 0 ? fc.constant([]) : fc.uniqueArray(fc.integer({ min: 0, max: index - 1 }), { maxLength: 3 }),
    condition: fc.option(fc.boolean(), { freq: 2 }),
    fails: fc.constantFrom(false, false, true),
    matrix: fc.option(
      fc.record({
        size: fc.integer({ min: 1, max: 4 }),
        maxParallel: fc.option(fc.integer({ min: 1, max: 2 })),
        failFast: fc.boolean(),
      }),
      { freq: 3 },
    ),
  });

const plans = fc
  .integer({ min: 1, max: 8 })
  .chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => plan(index))));

const workflowOf = (jobs: readonly Plan[]) =>
  `name: test\nrunner: linux\njobs:\n${jobs
    .map(({ needs, condition, matrix }, index) =>
      [
        `  j${index}:`,
        ...(needs.length > 0 ? [`    needs: [${needs.map((need) => `j${need}`).join(", ")}]`] : []),
        ...(condition === null ? [] : [`    if: \${{ run.number ${condition ? ">" : "<"} 0 }}`]),
        ...(matrix
          ? [
              "    matrix:",
              `      n: [${Array.from({ length: matrix.size }, (_, value) => value).join(", ")}]`,
              `      fail_fast: ${matrix.failFast}`,
              ...(matrix.maxParallel === null ? [] : [`      max_parallel: ${matrix.maxParallel}`]),
            ]
          : []),
        '    steps: [{ run: "true" }]',
      ].join("\n"),
    )
    .join("\n")}\n`;

describeStores("the jobs of a run", (open) => {
  it("each end once, run exactly when their needs and conditions say so, and the run ends with them", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    await fc.assert(
      fc.asyncProperty(plans, async (jobs) => {
        const runId = await plane.fire(workflowOf(jobs));
        const planOf = (key: string) => Number(key.split(" ")[0]?.slice(1));
        const ran = await plane.work(sessionId, ({ job }) => ({ exit: jobs[planOf(job)]?.fails ? 1 : 0 }));
        const run = await plane.run(runId);
        const byNode = Map.groupBy(run.jobs, ({ key }) => planOf(key));
        expect(run.jobs.filter(({ status }) => !TERMINAL_STATUSES.has(status))).toEqual([]);
        expect(run.status).toBe(run.jobs.some(({ status }) => status === "failed") ? "failed" : "succeeded");
        const times = Map.groupBy(ran, ({ job }) => job);
        for (const { key, status } of run.jobs) {
          const { needs, condition, matrix } = jobs[planOf(key)] as Plan;
          const sound = needs.every((need) => byNode.get(need)?.every((job) => job.status === "succeeded"));
          const wanted = condition ?? sound;
          const ends = byNode.get(planOf(key)) ?? [];
          if (status === "cancelled") {
            expect(matrix?.failFast).toBe(true);
            expect(ends.some((job) => job.status === "failed")).toBe(true);
          } else expect(status === "skipped").toBe(!wanted);
          expect(times.get(key)?.length ?? 0).toBe(status === "succeeded" || status === "failed" ? 1 : 0);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("are advanced by work that does not grow with the run", async () => {
    const pairs = (count: number) =>
      `name: test\nrunner: linux\njobs:\n${Array.from({ length: count }, (_, index) => {
        const steps = 'steps: [{ run: "true" }]';
        return `  a${index}: { ${steps} }\n  b${index}: { needs: a${index}, ${steps} }`;
      }).join(
        "\n",
      )}\n  last: { needs: [${Array.from({ length: count }, (_, index) => `b${index}`).join(", ")}], steps: [{ run: "true" }] }\n`;
    const rowsToEndOne = async (count: number) => {
      const plane = await TestPlane.start(await open());
      const { sessionId } = await plane.register();
      await plane.fire(pairs(count));
      const claimed = await plane.claim(sessionId);
      const executionId = claimed?.executionId ?? "";
      const setup = await plane.next(executionId);
      if (setup.kind === "step") await plane.report(executionId, setup.step.id, "succeeded");
      const last = await plane.next(executionId);
      if (last.kind !== "step") throw new Error("no step to report");
      const rows = { count: 0 };
      const report = { status: "succeeded", log_outcome: "drained", attempt: 1, exit_code: 0 } as const;
      await plane.store.write((tx) => {
        rows.count = 0;
        return reportStep(counting(tx, rows), plane.dispatch.runs, executionId, last.step.id, report, Date.now());
      });
      return rows.count;
    };
    expect(await rowsToEndOne(150)).toBe(await rowsToEndOne(5));
  });
});

/** Counts the rows that statements read and change. */
function counting(tx: WriteTx, rows: { count: number }): WriteTx {
  return new Proxy(tx, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        const result: unknown = value.apply(target, args);
        if (!(result instanceof Promise)) return result;
        return result.then((answer: unknown) => {
          rows.count += Array.isArray(answer) ? answer.length : typeof answer === "number" ? answer : 1;
          return answer;
        });
      };
    },
  });
}
