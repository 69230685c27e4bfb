import type { CheckoutDocument, ImageDocument, JobDocument } from "../document/document.ts";
import type { ExpressionChecker } from "../expressions/check.ts";
import { PREDICATE_SITES, TEMPLATE_SITES } from "../expressions/contexts.ts";
import { type KnownOutputs, Names } from "../expressions/names.ts";
import { type Template, unescapeLiteral } from "../expressions/template.ts";
import { type CelType, typeOfOutput } from "../expressions/types.ts";
import { DEFAULT_EXECUTION_TIMEOUT_MS, DEFAULT_FETCH_DEPTH } from "../limits.ts";
import type { Path } from "../yaml/source-map.ts";
import { buildConcurrency } from "./build-concurrency.ts";
import { buildFiles } from "./build-files.ts";
import { buildListening } from "./build-listening.ts";
import { buildRetry } from "./build-retry.ts";
import { buildImage, buildServices } from "./build-service.ts";
import { buildStep } from "./build-step.ts";
import { envTemplates, warnOfRewrittenValues } from "./env.ts";
import { axesOf } from "./matrix.ts";
import type { CheckoutModel, JobPlan } from "./model.ts";
import type { RunnerLabels } from "./runner-labels.ts";
import { refuseDuplicateIds, stableId } from "./stable-id.ts";
import type { Surroundings } from "./surroundings.ts";
import { readTimeout } from "./timeout.ts";

/** Types of the outputs of a job, by key; null when it declares none. */
export type JobOutputTypes = Readonly<Record<string, CelType>> | null;

export interface JobPlace extends Surroundings {
  readonly key: string;
  readonly needs: readonly string[];
  readonly workflowEnv: Record<string, Template>;
  readonly labels: RunnerLabels;
  /** Of the jobs that were built before, among them all needs. */
  readonly outputTypes: ReadonlyMap<string, JobOutputTypes>;
}

const OPEN_NAMES = new Names(null);

/** Plans one job and tells the types of its outputs. */
export function buildJob(job: JobDocument, place: JobPlace): { plan: JobPlan; outputTypes: JobOutputTypes } {
  const { key, needs, source, faults, warnings, expressions } = place;
  const path = ["jobs", key];
  const { ofJob, ofSteps } = namesOf(job, place);
  const at = (field: string) => ({ path: [...path, field], names: ofJob, needs });

  const readEnv = (text: string, envPath: readonly (string | number)[]) =>
    expressions.template(text, { path: envPath, site: TEMPLATE_SITES.command, names: ofJob, needs });
  const jobEnv = envTemplates(job.env, [...path, "env"], readEnv);
  warnOfRewrittenValues(job.env, [...path, "env"], source, warnings);
  const inheritedEnv = { ...place.workflowEnv, ...jobEnv };
  refuseDuplicateSteps(job, place);
  if (job.network === "none" && job.services !== undefined) {
    const message = "a job with services needs a network to reach them; leave `network: none` out, or the services";
    faults.add({ code: "invalid-value", message, path: [...path, "network"] });
  }

  const { runner, templates } = place.labels.of(key, job, (text, labelPath, pointAt) => {
    return expressions.template(text, { path: labelPath, pointAt, site: TEMPLATE_SITES.runner, names: ofJob, needs });
  });
  const image = job.image === undefined ? null : buildImage(job.image);
  checkImages(job, path, { names: ofJob, expressions });
  const plan: JobPlan = {
    key,
    name: job.name === undefined ? null : unescapeLiteral(job.name),
    image: image?.name ?? null,
    ...(image?.pull === undefined ? {} : { pull: image.pull }),
    ...(job.services === undefined
      ? {}
      : { services: buildServices(job.services, path, { source, faults, warnings }) }),
    ...(job.network === "none" ? { network: job.network } : {}),
    ...buildFiles(job, path, faults),
    checkout: job.checkout === false ? null : checkoutModel(job.checkout ?? {}),
    executionTimeoutMs:
      readTimeout(job.execution_timeout, [...path, "execution_timeout"], faults) ?? DEFAULT_EXECUTION_TIMEOUT_MS,
    steps: buildSteps(job, { ...place, inheritedEnv, names: ofSteps }),
    needs: [...needs],
    runner,
    ...(templates.length > 0 ? { runnerTemplates: templates } : {}),
  };

  if (job.retry !== undefined) plan.retry = buildRetry(job.retry, [...path, "retry"], faults);
  if (job.concurrency !== undefined) {
    const where = { ...at("concurrency"), site: TEMPLATE_SITES.concurrencyGroup };
    plan.concurrency = buildConcurrency(job.concurrency, where, place);
  }
  if (job.priority !== undefined) plan.priority = job.priority;
  if (job.if !== undefined) {
    const code = "invalid-job-if" as const;
    plan.if = expressions.condition(job.if, { ...at("if"), site: PREDICATE_SITES.jobIf, code, readsNeeds: true });
  }
  if (job.success !== undefined) {
    const code = "invalid-job-success" as const;
    plan.success = expressions.predicate(job.success, { ...at("success"), site: PREDICATE_SITES.jobSuccess, code });
  }
  if (job.execution_name !== undefined) {
    plan.executionName = expressions.template(job.execution_name, {
      ...at("execution_name"),
      site: TEMPLATE_SITES.executionName,
      selfReference: "execution.name",
    });
  }
  if (job.listening !== undefined) {
    plan.listening = buildListening(job.listening, [...path, "listening"], { names: ofJob, needs }, place);
    if (job.concurrency !== undefined) {
      const message =
        "a listening job goes on until it has heard enough, and cannot be of a group in which others wait";
      faults.add({ code: "invalid-value", message, path: [...path, "concurrency"], at: "key" });
    }
  }
  const outputs = Object.entries(job.outputs ?? {}).map(([name, text]) => {
    const outputPath = [...path, "outputs", name];
    const read = { path: outputPath, site: TEMPLATE_SITES.jobOutput, names: ofSteps, needs };
    return [name, expressions.typedTemplate(text, read)] as const;
  });
  if (outputs.length === 0) return { plan, outputTypes: null };
  if (job.matrix !== undefined) {
    const message = "a job with a matrix has no outputs: it becomes many jobs, and each would have its own";
    faults.add({ code: "invalid-value", message, path: [...path, "outputs"], at: "key" });
  }
  plan.outputs = Object.fromEntries(outputs.map(([name, { template }]) => [name, template]));
  return { plan, outputTypes: Object.fromEntries(outputs.map(([name, { type }]) => [name, type])) };
}

/** What the expressions of the job can know: all of it as soon as somebody declares outputs, else nothing. */
function namesOf(job: JobDocument, place: JobPlace): { ofJob: Names; ofSteps: Names } {
  const ofJob = namesOfNeeds(job.matrix, place, job.steps);
  if (ofJob.areAllKnown || job.steps.every((step) => step.outputs === undefined)) return { ofJob, ofSteps: ofJob };
  return { ofJob, ofSteps: new Names(knownOutputs(place, job.steps), ofJob.axes) };
}

type NeededOutputs = Pick<JobPlace, "needs" | "outputTypes">;

/** What expressions can know that see the needs of a job; nothing when none of these publishes anything. */
export function namesOfNeeds(
  matrix: JobDocument["matrix"],
  place: NeededOutputs,
  steps: JobDocument["steps"] = [],
): Names {
  const needsPublish = place.needs.some((need) => (place.outputTypes.get(need) ?? null) !== null);
  const axes = matrix === undefined ? null : axesOf(matrix);
  if (needsPublish) return new Names(knownOutputs(place, steps), axes);
  return axes === null ? OPEN_NAMES : new Names(null, axes);
}

function knownOutputs({ needs, outputTypes }: NeededOutputs, steps: JobDocument["steps"]): KnownOutputs {
  return {
    jobs: new Map(needs.map((need) => [need, outputTypes.get(need) ?? null])),
    steps: new Map(
      steps.flatMap(({ key, outputs }) => (key === undefined ? [] : [[key, outputs ? typesOf(outputs) : null]])),
    ),
  };
}

/** The expressions in images, which name values of the matrix and nothing else. */
function checkImages(
  { image, services = {} }: JobDocument,
  path: Path,
  { names, expressions }: { names: Names; expressions: ExpressionChecker },
): void {
  const check = (written: ImageDocument | undefined, at: Path) => {
    if (written === undefined) return;
    const [text, textPath] = typeof written === "string" ? [written, at] : [written.name, [...at, "name"]];
    expressions.template(text, { path: textPath, site: TEMPLATE_SITES.image, names, needs: [] });
  };
  check(image, [...path, "image"]);
  for (const [name, service] of Object.entries(services)) {
    const at = [...path, "services", name];
    if (typeof service === "string") check(service, at);
    else check(service.image, [...at, "image"]);
  }
}

function typesOf(outputs: NonNullable<JobDocument["steps"][number]["outputs"]>): Record<string, CelType> {
  return Object.fromEntries(Object.entries(outputs).map(([name, output]) => [name, typeOfOutput(output)]));
}

function buildSteps(
  job: JobDocument,
  place: JobPlace & { inheritedEnv: Record<string, Template>; names: Names },
): JobPlan["steps"] {
  const earlierKeys = new Set<string>();
  const laterKeys = new Set(job.steps.flatMap(({ key }) => (key === undefined ? [] : [key])));
  return job.steps.map((step, index) => {
    const path = ["jobs", place.key, "steps", index];
    if ("run" in step) warnOfRewrittenValues(step.env, [...path, "env"], place.source, place.warnings);
    const built = buildStep(step, { ...place, path, earlierKeys, laterKeys });
    if (step.key !== undefined) {
      earlierKeys.add(step.key);
      laterKeys.delete(step.key);
    }
    return built;
  });
}

function refuseDuplicateSteps(job: JobDocument, { key, faults }: JobPlace): void {
  const ids = job.steps.map((step, index) => {
    const stepPath = ["jobs", key, "steps", index];
    const name = step.key ?? `step ${index + 1}`;
    const pointAt = step.key === undefined ? {} : { pointAt: [...stepPath, "key"] };
    return { id: `${stableId(key)}-${stableId(name)}`, title: `the step "${name}"`, path: stepPath, ...pointAt };
  });
  refuseDuplicateIds("duplicate-step-id", ids, faults);
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
