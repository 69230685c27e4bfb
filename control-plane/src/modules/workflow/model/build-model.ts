import type { DiagnosticLog } from "../diagnostics.ts";
import type { CheckoutDocument, JobDocument, TriggerDocument, WorkflowDocument } from "../document/document.ts";
import { type Template, unescapeLiteral } from "../expressions.ts";
import {
  DEFAULT_EXECUTION_TIMEOUT_MS,
  DEFAULT_FETCH_DEPTH,
  MAX_JOBS,
  MAX_MERGED_ENV_CHARACTERS,
  MAX_STEPS,
} from "../limits.ts";
import type { SourceMap } from "../yaml/source-map.ts";
import { buildImage, buildServices } from "./build-service.ts";
import { buildStep } from "./build-step.ts";
import { envCharacters, envTemplates, envTexts, warnOfRewrittenValues } from "./env.ts";
import { inFileOrder } from "./file-order.ts";
import { readJobGraph } from "./job-graph.ts";
import type { CheckoutModel, JobModel, ManualTriggerModel, WorkflowModel } from "./model.ts";
import { RunnerLabels } from "./runner-labels.ts";
import { refuseDuplicateIds, stableId } from "./stable-id.ts";
import { readTimeout } from "./timeout.ts";

export interface ModelSurroundings {
  source: SourceMap;
  /** Labels of jobs for which neither job nor workflow names any; may be empty. */
  defaultRunnerLabels: readonly string[];
  faults: DiagnosticLog;
  warnings: DiagnosticLog;
}

/** Third layer: what holds between values. Null when `faults` got a fault. */
export function buildModel(workflow: WorkflowDocument, surroundings: ModelSurroundings): WorkflowModel | null {
  const { source, faults } = surroundings;
  const jobs = inFileOrder(workflow.jobs, ["jobs"], source);
  if (!hasRunnableSize(workflow, jobs, faults)) return null;

  const jobIds = [...jobs.keys()].map((key) => named(key, ["jobs", key]));
  refuseDuplicateIds("duplicate-job-id", jobIds, faults);
  const graph = readJobGraph(jobs, faults);
  const labels = new RunnerLabels({ workflow, defaults: surroundings.defaultRunnerLabels, log: faults });
  const workflowEnv = envTemplates(workflow.env);
  warnOfRewrittenValues(workflow.env, ["env"], source, surroundings.warnings);

  const model: WorkflowModel = {
    kind: "workflow",
    name: unescapeLiteral(workflow.name),
    manualTrigger: readManualTrigger(workflow, surroundings),
    jobs: [...jobs].map(([key, job]) => ({
      ...buildJob(key, job, { workflowEnv, ...surroundings }),
      needs: [...(graph.get(key) ?? [])],
      runner: labels.of(key, job),
    })),
  };
  return faults.isEmpty ? model : null;
}

function buildJob(
  key: string,
  job: JobDocument,
  { workflowEnv, source, faults, warnings }: ModelSurroundings & { workflowEnv: Record<string, Template> },
): Omit<JobModel, "needs" | "runner"> {
  const path = ["jobs", key];
  const inheritedEnv = { ...workflowEnv, ...envTemplates(job.env) };
  warnOfRewrittenValues(job.env, [...path, "env"], source, warnings);
  const stepIds = job.steps.map((step, index) => {
    const stepPath = [...path, "steps", index];
    const name = step.key ?? `step ${index + 1}`;
    const pointAt = step.key === undefined ? {} : { pointAt: [...stepPath, "key"] };
    return { id: `${stableId(key)}-${stableId(name)}`, title: `the step "${name}"`, path: stepPath, ...pointAt };
  });
  refuseDuplicateIds("duplicate-step-id", stepIds, faults);
  if (job.network === "none" && job.services !== undefined) {
    const message = "a job with services needs a network to reach them; leave `network: none` out, or the services";
    faults.add({ code: "invalid-value", message, path: [...path, "network"] });
  }
  const image = job.image === undefined ? null : buildImage(job.image);
  return {
    key,
    name: job.name === undefined ? null : unescapeLiteral(job.name),
    image: image?.name ?? null,
    ...(image?.pull === undefined ? {} : { pull: image.pull }),
    ...(job.services === undefined
      ? {}
      : { services: buildServices(job.services, path, { source, faults, warnings }) }),
    ...(job.network === "none" ? { network: job.network } : {}),
    checkout: job.checkout === false ? null : checkoutModel(job.checkout ?? {}),
    executionTimeoutMs:
      readTimeout(job.execution_timeout, [...path, "execution_timeout"], faults) ?? DEFAULT_EXECUTION_TIMEOUT_MS,
    steps: job.steps.map((step, index) => {
      const stepPath = [...path, "steps", index];
      warnOfRewrittenValues(step.env, [...stepPath, "env"], source, warnings);
      return buildStep(step, { path: stepPath, inheritedEnv, source, log: faults, warnings });
    }),
  };
}

function readManualTrigger(
  workflow: WorkflowDocument,
  { source, faults }: ModelSurroundings,
): ManualTriggerModel | null {
  const triggers = [...inFileOrder(workflow.triggers ?? {}, ["triggers"], source)];
  refuseDuplicateIds(
    "duplicate-trigger-id",
    triggers.map(([key]) => named(key, ["triggers", key])),
    faults,
  );
  const [first, second] = triggers;
  if (first && second) {
    const keys = triggers.map(([key]) => key).join(", ");
    const message = `${triggers.length} triggers are manual (${keys}); a workflow may have one, so keep one of them`;
    faults.add({
      code: "multiple-manual-triggers",
      message,
      path: ["triggers"],
      pointAt: ["triggers", second[0]],
      at: "key",
    });
  }
  return first ? manualTriggerModel(...first) : null;
}

function manualTriggerModel(key: string, trigger: TriggerDocument): ManualTriggerModel {
  return { key, name: key, event: unescapeLiteral(trigger.event), with: trigger.with ?? null };
}

/** Bounds what one file can make the server store, before anything of that size is built. */
function hasRunnableSize(
  workflow: WorkflowDocument,
  jobs: ReadonlyMap<string, JobDocument>,
  log: DiagnosticLog,
): boolean {
  const refuse = (path: string[], message: string): false => {
    log.add({ code: "workflow-too-large", message, path, at: "key" });
    return false;
  };
  if (jobs.size > MAX_JOBS) return refuse(["jobs"], `${jobs.size} jobs are too many; a workflow may have ${MAX_JOBS}`);
  let steps = 0;
  let characters = 0;
  const workflowCharacters = envCharacters(envTexts(workflow.env));
  for (const [key, job] of jobs) {
    steps += job.steps.length;
    if (steps > MAX_STEPS) return refuse(["jobs", key], `with this job the workflow has over ${MAX_STEPS} steps`);
    const inherited = workflowCharacters + envCharacters(envTexts(job.env));
    characters += job.steps.reduce((sum, step) => sum + inherited + envCharacters(envTexts(step.env)), 0);
    if (characters <= MAX_MERGED_ENV_CHARACTERS) continue;
    const limit = `${MAX_MERGED_ENV_CHARACTERS} characters over all steps`;
    return refuse(["jobs", key], `with inherited variables the environments of the steps exceed ${limit}`);
  }
  return true;
}

function named(key: string, path: string[]) {
  return { id: stableId(key), title: `the key "${key}"`, path };
}

function checkoutModel(checkout: CheckoutDocument): CheckoutModel {
  const { submodules = false } = checkout;
  return {
    contents: checkout.permissions?.contents ?? "read",
    persistCredentials: checkout["persist-credentials"] ?? false,
    fetchDepth: checkout["fetch-depth"] ?? DEFAULT_FETCH_DEPTH,
    submodules: submodules === false ? "none" : submodules === true ? "direct" : submodules,
    lfs: checkout.lfs ?? false,
  };
}
