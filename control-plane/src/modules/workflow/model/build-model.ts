import type { DiagnosticLog } from "../diagnostics.ts";
import type { StepDocument, WorkflowDocument } from "../document/document.ts";
import { TEMPLATE_SITES } from "../expressions/contexts.ts";
import { unescapeLiteral } from "../expressions/template.ts";
import { Names } from "../expressions/names.ts";
import { MAX_JOBS, MAX_MATRIX_CHARACTERS, MAX_MATRIX_JOBS, MAX_MERGED_ENV_CHARACTERS, MAX_STEPS } from "../limits.ts";
import { checkDownloads } from "./build-files.ts";
import { buildCall } from "./build-call.ts";
import { buildJob, type JobOutputTypes, namesOfNeeds } from "./build-job.ts";
import { buildTriggers } from "./build-triggers.ts";
import { envCharacters, envTemplates, envTexts, warnOfRewrittenValues } from "./env.ts";
import { expandMatrix } from "./expand-matrix.ts";
import { inFileOrder } from "./file-order.ts";
import { readJobGraph, type JobGraph } from "./job-graph.ts";
import { countOf } from "./matrix.ts";
import type { JobPlan, WorkflowPlan } from "./model.ts";
import { RunnerLabels } from "./runner-labels.ts";
import { named, refuseDuplicateIds } from "./stable-id.ts";
import type { Surroundings } from "./surroundings.ts";

/** The first places are enough to see why; the diagnostics of the file have them all. */
const MAX_STORED_REASONS = 10;

export interface ModelSurroundings extends Surroundings {
  /** Labels of jobs for which neither job nor workflow names any; may be empty. */
  readonly defaultRunnerLabels: readonly string[];
}

/** Third layer: what holds between values. Null when `faults` got a fault. */
export function buildModel(workflow: WorkflowDocument, surroundings: ModelSurroundings): WorkflowPlan | null {
  const { source, faults, expressions, blocking } = surroundings;
  const jobs = inFileOrder(workflow.jobs, ["jobs"], source);
  if (!hasRunnableSize(workflow, jobs, faults)) return null;

  const jobIds = [...jobs.keys()].map((key) => named(key, ["jobs", key]));
  refuseDuplicateIds("duplicate-job-id", jobIds, faults);
  const names = new Names(null);
  const workflowEnv = envTemplates(workflow.env, ["env"], (text, path) =>
    expressions.template(text, { path, site: TEMPLATE_SITES.command, names, needs: [] }),
  );
  warnOfRewrittenValues(workflow.env, ["env"], source, surroundings.warnings);

  const runName =
    workflow.run_name === undefined
      ? undefined
      : expressions.template(workflow.run_name, {
          path: ["run_name"],
          site: TEMPLATE_SITES.runName,
          names,
          needs: [],
          selfReference: "run.name",
        });
  const { manualTrigger, triggers } = buildTriggers(workflow, surroundings);
  const { plans, outputTypes } = buildJobs(jobs, workflow, { ...surroundings, workflowEnv });
  const outputs = buildOutputs(workflow, { needs: [...jobs.keys()], outputTypes }, surroundings);
  checkDownloads(plans, faults);
  if (!faults.isEmpty) return null;
  const reasons = blocking.inFileOrder().slice(0, MAX_STORED_REASONS);
  return {
    kind: "workflow",
    name: unescapeLiteral(workflow.name),
    ...(runName ? { runName } : {}),
    manualTrigger,
    ...(workflow.inputs && manualTrigger === null ? { inputs: workflow.inputs } : {}),
    ...(outputs ? { outputs } : {}),
    ...(triggers.length > 0 ? { triggers } : {}),
    jobs: plans,
    ...(reasons.length > 0 ? { notRunnable: reasons } : {}),
  };
}

type AnyJob = WorkflowDocument["jobs"][string];

/** In file order, but built needs first: what a job can say depends on the outputs of the jobs before it. */
function buildJobs(
  jobs: ReadonlyMap<string, AnyJob>,
  workflow: WorkflowDocument,
  surroundings: ModelSurroundings & { workflowEnv: ReturnType<typeof envTemplates> },
): { plans: JobPlan[]; outputTypes: ReadonlyMap<string, JobOutputTypes> } {
  const graph = readJobGraph(jobs, surroundings.faults);
  const labels = new RunnerLabels({
    workflow,
    defaults: surroundings.defaultRunnerLabels,
    log: surroundings.faults,
  });
  const outputTypes = new Map<string, JobOutputTypes>();
  const plans = new Map<string, JobPlan[]>();
  for (const key of needsFirst(graph)) {
    const job = jobs.get(key);
    if (!job) continue;
    const place = { ...surroundings, key, needs: graph.get(key) ?? [], labels, outputTypes };
    // What a call publishes is known when it is linked.
    const built = "uses" in job ? { plan: buildCall(job, place), outputTypes: null } : buildJob(job, place);
    outputTypes.set(key, built.outputTypes);
    const { plan } = built;
    plans.set(key, job.matrix ? expandMatrix(plan, job.matrix, surroundings) : [plan]);
  }
  const all = [...jobs.keys()].flatMap((key) => plans.get(key) ?? []);
  refuseTakenKeys(all, jobs, surroundings.faults);
  return { plans: all, outputTypes };
}

/** What the workflow hands to who calls it; undefined when it says nothing of that. */
function buildOutputs(
  { outputs }: WorkflowDocument,
  all: { needs: readonly string[]; outputTypes: ReadonlyMap<string, JobOutputTypes> },
  { expressions }: Surroundings,
): WorkflowPlan["outputs"] {
  if (!outputs) return undefined;
  const place = { site: TEMPLATE_SITES.workflowOutput, names: namesOfNeeds(undefined, all), needs: all.needs };
  const read = ([name, text]: [string, string]) =>
    [name, expressions.template(text, { ...place, path: ["outputs", name], seesAllJobs: true })] as const;
  return Object.fromEntries(Object.entries(outputs).map(read));
}

/** A job of a matrix must not have the key that another job was given. */
function refuseTakenKeys(plans: readonly JobPlan[], jobs: ReadonlyMap<string, AnyJob>, log: DiagnosticLog): void {
  for (const { key, matrix } of plans) {
    if (!matrix || !jobs.has(key)) continue;
    const message = `"${key}" is also the key of a job of the matrix of "${matrix.job}"; rename one of them`;
    log.add({ code: "duplicate-job-id", message, path: ["jobs", key], at: "key" });
  }
}

/** All jobs, each after its needs; those of a circle, which is refused elsewhere, in any order. Linear in the graph. */
function needsFirst(graph: JobGraph): string[] {
  const ordered = new Set<string>();
  const open = new Set<string>();
  for (const start of graph.keys()) {
    const stack = [start];
    while (stack.length > 0) {
      const key = stack.at(-1) as string;
      const next = open.has(key) ? [] : (graph.get(key) ?? []).filter((need) => !ordered.has(need) && !open.has(need));
      open.add(key);
      if (next.length > 0 && !ordered.has(key)) stack.push(...next);
      else {
        ordered.add(key);
        stack.pop();
      }
    }
  }
  return [...ordered];
}

/** Bounds what one file can make the server store, before anything of that size is built. */
function hasRunnableSize(workflow: WorkflowDocument, jobs: ReadonlyMap<string, AnyJob>, log: DiagnosticLog): boolean {
  const refuse = (path: string[], message: string): false => {
    log.add({ code: "workflow-too-large", message, path, at: "key" });
    return false;
  };
  let count = 0;
  let steps = 0;
  let characters = 0;
  let matrixCharacters = 0;
  const workflowCharacters = envCharacters(envTexts(workflow.env));
  for (const [key, job] of jobs) {
    const times = job.matrix ? countOf(job.matrix) : 1;
    if (times > MAX_MATRIX_JOBS)
      return refuse(["jobs", key, "matrix"], `the matrix has ${times} combinations; it may have ${MAX_MATRIX_JOBS}`);
    count += times;
    if (count > MAX_JOBS) return refuse(["jobs"], `${count} jobs are too many; a workflow may have ${MAX_JOBS}`);
    if (job.matrix) matrixCharacters += times * JSON.stringify(job).length;
    if (matrixCharacters > MAX_MATRIX_CHARACTERS)
      return refuse(["jobs", key], `with this job the combinations exceed ${MAX_MATRIX_CHARACTERS} characters of jobs`);
    if ("uses" in job) continue;
    steps += times * job.steps.length;
    if (steps > MAX_STEPS) return refuse(["jobs", key], `with this job the workflow has over ${MAX_STEPS} steps`);
    const inherited = workflowCharacters + envCharacters(envTexts(job.env));
    characters += times * job.steps.reduce((sum, step) => sum + inherited + envCharacters(envTexts(envOf(step))), 0);
    if (characters <= MAX_MERGED_ENV_CHARACTERS) continue;
    const limit = `${MAX_MERGED_ENV_CHARACTERS} characters over all steps`;
    return refuse(["jobs", key], `with inherited variables the environments of the steps exceed ${limit}`);
  }
  return true;
}

function envOf(step: StepDocument) {
  return "run" in step ? step.env : undefined;
}
