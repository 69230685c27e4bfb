import { Session } from "node:inspector/promises";
import { describe, expect, it } from "vitest";
import { parseWorkflow } from "./public.ts";

/** How often each block of this module's code runs: work, not time. Too low for functions that the engine inlines. */
async function workOf(yaml: string): Promise<{ block: string; count: number }[]> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
    parseWorkflow(yaml);
    const { result } = await session.post("Profiler.takePreciseCoverage");
    const ours = result.filter(({ url }) => url.includes("/modules/workflow/") && !url.endsWith(".test.ts"));
    expect(ours.length).toBeGreaterThan(10);
    return ours.flatMap(({ url, functions }) =>
      functions.flatMap(({ functionName, ranges }) =>
        ranges.map(({ startOffset, count }) => ({ block: `${url} ${functionName} ${startOffset}`, count })),
      ),
    );
  } finally {
    session.disconnect();
  }
}

const COUNT = 600;
/** Of one block for each job, step or expression. Comparing each with every other would be 300 and more. */
const MOST_RUNS = 60;

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join("\n");
const workflow = (jobs: string): string => `name: a\nrunner: x\njobs:\n${jobs}\n`;
const oneJob = (steps: string): string => workflow(`  a:\n    steps:\n${steps}`);
const earlier = (job: number): string =>
  Array.from({ length: Math.min(job, 5) }, (_, back) => `j${job - back - 1}`).join(", ");

describe("the work of a validation grows with the file, not with its square", () => {
  it.each<[string, (count: number) => string]>([
    [
      "jobs with five needs each",
      (count) =>
        workflow(
          lines(count, (job) => `  j${job}: { ${job > 0 ? `needs: [${earlier(job)}], ` : ""}steps: [{ run: x }] }`),
        ),
    ],
    [
      "jobs that read the outputs of their needs",
      (count) =>
        workflow(
          lines(count, (job) =>
            job === 0
              ? '  j0: { outputs: { v: "${{ run.number }}" }, steps: [{ run: x }] }'
              : `  j${job}: { needs: [${earlier(job)}], outputs: { v: "\${{ jobs.j${job - 1}.outputs.v }}" }, steps: [{ run: x }] }`,
          ),
        ),
    ],
    [
      "a chain of jobs",
      (count) =>
        workflow(lines(count, (job) => `  j${job}: { ${job > 0 ? `needs: j${job - 1}, ` : ""}steps: [{ run: x }] }`)),
    ],
    [
      "a circle of jobs",
      (count) => workflow(lines(count, (job) => `  j${job}: { needs: j${(job + 1) % count}, steps: [{ run: x }] }`)),
    ],
    ["steps of one job", (count) => oneJob(lines(count, (step) => `      - run: echo ${step}`))],
    [
      "typed steps that read the step before",
      (count) =>
        oneJob(
          lines(
            count,
            (step) =>
              `      - { key: s${step}, run: "\${{ steps.s${Math.max(0, step - 1)}.outputs.n }}", outputs: { n: number } }`,
          ),
        ),
    ],
    [
      "expressions of one command",
      (count) =>
        oneJob(`      - run: echo ${Array.from({ length: count }, (_, at) => `\${{ event.a${at} }}`).join(" ")}`),
    ],
    [
      "unknown keys",
      (count) => `${workflow("  a: { steps: [{ run: x }] }")}${lines(count, (at) => `unknown_${at}: 1`)}`,
    ],
  ])("%s", async (_, write) => {
    const work = await workOf(write(COUNT));
    expect(work.filter(({ count }) => count > MOST_RUNS * COUNT)).toEqual([]);
  });
});
