/** The moments at which a value can be put in, in the order of a job's life. */
export const FILL_POINTS = [
  "ingest",
  "run-creation",
  "job-activation",
  "execution-creation",
  "step-dispatch",
  "step-report",
  "execution-resolution",
  "runner",
] as const;
export type FillPoint = (typeof FILL_POINTS)[number];

/** Names with which an expression can start, and the first moment at which each has a value. */
export const ROOTS = {
  trigger: "ingest",
  event: "ingest",
  workflow: "run-creation",
  run: "run-creation",
  inputs: "run-creation",
  job: "run-creation",
  vars: "run-creation",
  matrix: "run-creation",
  jobs: "job-activation",
  needs: "job-activation",
  execution: "execution-creation",
  executions: "execution-creation",
  steps: "step-dispatch",
  step: "step-dispatch",
  secrets: "runner",
} as const satisfies Record<string, FillPoint>;
export type Root = keyof typeof ROOTS;

/** Roots whose fields are known; the others hold what events, people and steps put into them. */
export const TYPED_ROOTS: ReadonlySet<Root> = new Set([
  "workflow",
  "run",
  "trigger",
  "job",
  "execution",
  "executions",
  "needs",
  "step",
]);

export function isRoot(name: string): name is Root {
  return Object.hasOwn(ROOTS, name);
}

/** The earliest moment at which all of `roots` have a value. */
export function fillPointOf(roots: Iterable<Root>): FillPoint {
  let latest = 0;
  for (const root of roots) latest = Math.max(latest, FILL_POINTS.indexOf(ROOTS[root]));
  return FILL_POINTS[latest] as FillPoint;
}

const AT_RUN_CREATION: Root[] = ["trigger", "event", "workflow", "run", "inputs", "vars"];
const AT_EXECUTION: Root[] = [...AT_RUN_CREATION, "job", "matrix", "jobs", "needs", "execution", "executions"];
const AT_DISPATCH: Root[] = [...AT_EXECUTION, "steps", "step"];

/** A place for expressions: what it is called in messages and which roots it may read. */
export interface Site {
  readonly what: string;
  readonly roots: ReadonlySet<Root>;
  /** What `step` and `execution` hold there. */
  readonly stage: "dispatch" | "report";
}

function site(what: string, roots: readonly Root[], stage: Site["stage"] = "dispatch"): Site {
  return { what, roots: new Set(roots), stage };
}

export const TEMPLATE_SITES = {
  runName: site("the name of a run", AT_RUN_CREATION),
  runner: site("a runner label", AT_EXECUTION),
  callInput: site("an input of a called workflow", [...AT_RUN_CREATION, "matrix", "jobs", "needs"]),
  /** Of a job or a service, filled when the file is read. */
  image: site("an image", ["matrix"]),
  concurrencyGroup: site("the concurrency group of a job", AT_EXECUTION),
  executionName: site("the name of an execution", AT_EXECUTION),
  /** `run` and `env` of run steps, filled by the runner: the only place for secrets. */
  command: site("this field", [...AT_DISPATCH, "secrets"]),
  stepField: site("this field", AT_DISPATCH),
  feedback: site("the feedback of a gate", ["step", "vars", "matrix"], "report"),
  jobOutput: site(
    "an output of a job",
    [...AT_RUN_CREATION, "executions", "execution", "jobs", "job", "matrix", "steps"],
    "report",
  ),
  workflowOutput: site("an output of a workflow", [...AT_RUN_CREATION, "jobs"]),
};

export const PREDICATE_SITES = {
  filter: site("the filter of a trigger", ["event", "trigger"]),
  listener: site("the filter of a listening job", [...AT_RUN_CREATION, "job", "jobs"]),
  jobIf: site("the condition of a job", [...AT_RUN_CREATION, "matrix", "jobs", "needs"]),
  stepIf: site("the condition of a step", ["vars", "matrix", "jobs", "execution", "step", "steps"]),
  gate: site("the success condition of a gate", ["step", "vars", "matrix"], "report"),
  jobSuccess: site("the success condition of a job", ["executions", "jobs", "vars", "matrix"]),
};
