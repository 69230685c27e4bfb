import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { parseWorkflow, type WorkflowPlan } from "./public.ts";
import { type AuthoredWorkflow, wholeWorkflow } from "./whole-workflow.fixture.ts";

const write = ({ top, jobs }: AuthoredWorkflow) => stringify({ ...top, jobs: new Map(jobs) }, { lineWidth: 0 });

function modelOf(yaml: string): WorkflowPlan {
  const result = parseWorkflow(yaml);
  if (!result.ok) throw new Error(`${JSON.stringify(result.diagnostics, null, 1)}\n${yaml}`);
  return result.model;
}

/** Lines and columns are those of one text. */
function withoutPlaces({ notRunnable, ...model }: WorkflowPlan): unknown {
  const places = notRunnable?.map(({ code, path }) => ({ code, path })).toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const plain = JSON.stringify({ ...model, places }, (key, value: unknown) =>
    key === "sourceLocation" ? null : value,
  );
  return JSON.parse(plain);
}

function faultsOf(yaml: string): string[] {
  const result = parseWorkflow(yaml);
  return result.ok ? [] : result.diagnostics.map(({ code, path }) => `${code} ${path}`);
}

/** The workflow with one job replaced. */
function withJob({ top, jobs }: AuthoredWorkflow, at: number, change: object): AuthoredWorkflow {
  return { top, jobs: jobs.map(([key, job], index) => [key, index === at ? { ...job, ...change } : job] as const) };
}

const oneOfThem = fc.tuple(wholeWorkflow, fc.nat(), fc.nat()).map(([workflow, first, second]) => {
  const jobAt = first % workflow.jobs.length;
  const [key, job] = workflow.jobs[jobAt] as AuthoredWorkflow["jobs"][number];
  return { workflow, jobAt, key, job, stepAt: second % job.steps.length };
});

describe("any workflow that the rules allow", () => {
  it("is accepted without a warning and keeps what its author wrote, in that order", () => {
    fc.assert(
      fc.property(wholeWorkflow, (workflow) => {
        const result = parseWorkflow(write(workflow));
        if (!result.ok) throw new Error(`${JSON.stringify(result.diagnostics, null, 1)}\n${write(workflow)}`);
        expect(result.warnings).toEqual([]);
        const written: unknown = { ...workflow.top, jobs: Object.fromEntries(workflow.jobs) };
        expect(JSON.parse(JSON.stringify(result.document))).toEqual(JSON.parse(JSON.stringify(written)));
        const keys = result.model.jobs.map(({ key, matrix }) => matrix?.job ?? key);
        expect([...new Set(keys)]).toEqual(workflow.jobs.map(([key]) => key));
      }),
      { numRuns: 100 },
    );
  });

  it("means the same when it is printed again, in another style", () => {
    fc.assert(
      fc.property(wholeWorkflow, fc.constantFrom("flow", "quoted", "aliased"), (workflow, style) => {
        const yaml = write(workflow);
        const again = stringify(
          { ...workflow.top, jobs: new Map(workflow.jobs) },
          {
            lineWidth: 0,
            ...(style === "flow" ? { collectionStyle: "flow" } : {}),
            ...(style === "quoted" ? { defaultStringType: "QUOTE_DOUBLE", defaultKeyType: "PLAIN" } : {}),
            aliasDuplicateObjects: style === "aliased",
          },
        );
        expect(withoutPlaces(modelOf(again))).toEqual(withoutPlaces(modelOf(yaml)));
      }),
      { numRuns: 60 },
    );
  });
});

type Change = (
  place: typeof oneOfThem extends fc.Arbitrary<infer T> ? T : never,
) => readonly [AuthoredWorkflow, string] | null;

/** A change of a workflow, and the only diagnostic of it; null when the workflow has no place for it. */
const FAULTS: readonly (readonly [what: string, change: Change])[] = [
  [
    "an unknown key of the workflow",
    ({ workflow: { top, jobs } }) => [{ top: { ...top, zzzzzzzz: 1 }, jobs }, "unknown-key (root)"],
  ],
  [
    "an unknown key of a job",
    ({ workflow, jobAt, key }) => [withJob(workflow, jobAt, { zzzzzzzz: {} }), `unknown-key jobs.${key}`],
  ],
  [
    "an unknown key of a step",
    ({ workflow, jobAt, key, job, stepAt }) => {
      const steps = job.steps.map((step, index) => (index === stepAt ? { ...step, zzzzzzzz: null } : step));
      return [withJob(workflow, jobAt, { steps }), `unknown-key jobs.${key}.steps.${stepAt}`];
    },
  ],
  [
    "a value of another type",
    ({ workflow, jobAt, key, job, stepAt }) => {
      const steps = job.steps.map((step, index) => (index === stepAt ? { ...step, name: ["a"] } : step));
      return [withJob(workflow, jobAt, { steps }), `invalid-type jobs.${key}.steps.${stepAt}.name`];
    },
  ],
  [
    "steps that are no list",
    ({ workflow, jobAt, key }) => [withJob(workflow, jobAt, { steps: { run: "x" } }), `invalid-type jobs.${key}.steps`],
  ],
  [
    "an expression that cannot be read",
    ({ workflow, jobAt, key, job, stepAt }) => {
      const steps = job.steps.map((step, index) => (index === stepAt ? { ...step, name: "${{ event. }}" } : step));
      return [withJob(workflow, jobAt, { steps }), `invalid-interpolation-template jobs.${key}.steps.${stepAt}.name`];
    },
  ],
  [
    "a need that is no job",
    ({ workflow, jobAt, key, job: { needs = [] } }) => [
      withJob(workflow, jobAt, { needs: [...needs, "not-a-job"] }),
      `unknown-job-dependency jobs.${key}.needs.${needs.length}`,
    ],
  ],
  [
    "a circle of jobs, at its first",
    ({ workflow, jobAt, key }) => {
      const [first] = workflow.jobs[jobAt]?.[1].needs ?? [];
      const at = workflow.jobs.findIndex(([other]) => other === first);
      const other = workflow.jobs[at];
      if (!other) return null;
      return [
        withJob(workflow, at, { needs: [...(other[1].needs ?? []), key] }),
        `job-dependency-cycle jobs.${other[0]}.needs`,
      ];
    },
  ],
];

describe("one fault in any workflow is refused where it is", () => {
  it.each(FAULTS)("%s", (_, change) => {
    fc.assert(
      fc.property(oneOfThem, (place) => {
        const [workflow, fault] = change(place) ?? [null, null];
        fc.pre(workflow !== null);
        expect(faultsOf(write(workflow))).toEqual([fault]);
      }),
      { numRuns: 40 },
    );
  });
});
