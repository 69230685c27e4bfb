import { namesRead, sourcesOf } from "../expressions/names-read.ts";
import { sourceOf, substitute, substituteAll, type Template, type TemplateSegment } from "../expressions/template.ts";
import type { AuthoredStepModel, CallModel, JobModel, WorkflowModel } from "./model.ts";

/** Why no run can be created. `field` is `run` or `env.<name>`, `source` the expression. */
export interface UnresolvableFault {
  readonly message: string;
  readonly field: string;
  readonly source: string;
  readonly envKey: string | null;
}

/** The keys of all variables that the workflow names, each once. */
export function variablesOf(model: WorkflowModel): Set<string> {
  const keys = new Set(variablesIn(model.runName ?? []));
  for (const job of model.jobs) for (const key of variablesOfJob(job)) keys.add(key);
  for (const key of variablesOfTemplate(model.runName ?? [])) keys.add(key);
  return keys;
}

/** The keys of all variables that one job names, each once. */
export function variablesOfJob(job: JobModel): Set<string> {
  const bindings = bindingsOf(job);
  return new Set([...variablesOfExpressions(job), ...[...templatesOf(job), ...bindings].flatMap(variablesIn)]);
}

/** Those that are a whole expression. */
function variablesIn(template: Template): string[] {
  return template.flatMap((segment) => (segment.kind === "variable" ? [segment.key] : []));
}

function variablesOfTemplate(template: Template): Set<string> {
  return new Set(sourcesOf(template).flatMap((source) => [...namesRead(source).variables]));
}

/** Those that have a value. */
function pick(values: ReadonlyMap<string, string>, keys: ReadonlySet<string>): Record<string, string> {
  return Object.fromEntries([...keys].flatMap((key) => (values.has(key) ? [[key, values.get(key) ?? ""]] : [])));
}

/** Templates of a job and its steps beside the variables of commands. */
function templatesOf(job: JobModel): Template[] {
  return [
    ...Object.values(job.outputs ?? {}),
    ...templatesOfCall(job),
    ...(job.runnerTemplates ?? []),
    job.executionName ?? [],
    job.concurrency?.group ?? [],
    ...job.steps.flatMap(({ nameTemplate, workingDirectoryTemplate, gate }) => [
      nameTemplate ?? [],
      workingDirectoryTemplate ?? [],
      gate?.feedback ?? [],
    ]),
  ];
}

/** What a step does, as far as it has expressions, with the name under which a user knows it. */
function fieldsOf(step: AuthoredStepModel): { field: string; envKey: string | null; template: Template }[] {
  if (step.type === "checkout")
    return Object.entries(step.target).map(([key, template]) => ({ field: `checkout.${key}`, envKey: null, template }));
  return Object.entries(step.bindings ?? {}).map(([name, template]) => {
    const isHoisted = step.run.includes(`{${name}}`) && name.startsWith("__sf_");
    return { field: isHoisted ? "run" : `env.${name}`, envKey: name, template };
  });
}

function bindingsOf(job: JobModel): Template[] {
  return job.steps.flatMap((step) => fieldsOf(step).map(({ template }) => template));
}

function templatesOfCall({ call }: JobModel): Template[] {
  return Object.values(call?.with ?? {}).filter((given): given is Template => Array.isArray(given));
}

/** Keys of the variables that the expressions of a job read, beyond those that are a whole expression. */
function variablesOfExpressions(job: JobModel): Set<string> {
  const bindings = bindingsOf(job);
  const sources = [
    job.if,
    job.success,
    ...[...(job.listening?.on ?? []), ...(job.listening?.until ?? [])].map(({ filter }) => filter),
    ...job.steps.flatMap((step) => [step.if, step.gate?.success]),
    ...[...templatesOf(job), ...bindings].flatMap(sourcesOf),
  ];
  return new Set(sources.flatMap((source) => (source ? [...namesRead(source).variables] : [])));
}

/**
 * The model of one run: variables are replaced by their values, and kept for expressions that compute with them; only secrets
 * and expressions are left in templates. A listening job keeps the variables of its executions: each has those of its time.
 */
export function resolveVariables(
  model: WorkflowModel,
  values: ReadonlyMap<string, string>,
): { ok: true; model: WorkflowModel } | { ok: false; fault: UnresolvableFault } {
  const fault = findFault(model, values);
  if (fault) return { ok: false, fault };
  const { runName } = model;
  return {
    ok: true,
    model: {
      ...model,
      ...(runName === undefined
        ? {}
        : { runName: resolveTemplate(runName, values), variables: pick(values, variablesOfTemplate(runName)) }),
      jobs: model.jobs.map((job) =>
        job.listening ? { ...job, variables: pick(values, variablesOfExpressions(job)) } : resolveJob(job, values),
      ),
    },
  };
}

/** The model of one execution of a listening job, with the values that its variables have then. */
export function resolveExecution(
  job: JobModel,
  values: ReadonlyMap<string, string>,
): { ok: true; model: JobModel } | { ok: false; fault: UnresolvableFault } {
  const fault = findFaultIn(job, values);
  return fault ? { ok: false, fault } : { ok: true, model: resolveJob(job, values) };
}

function findFault(model: WorkflowModel, values: ReadonlyMap<string, string>): UnresolvableFault | null {
  for (const job of model.jobs) {
    const fault = findFaultIn(job, values);
    if (fault) return fault;
  }
  return null;
}

function findFaultIn(job: JobModel, values: ReadonlyMap<string, string>): UnresolvableFault | null {
  for (const [index, step] of job.steps.entries()) {
    const where = `step ${index + 1} of the job "${job.key}"`;
    if (step.type === "run" && step.unsafeExpression !== undefined) {
      const message = `\`\${{ ${step.unsafeExpression} }}\` in ${where} would become code of the shell; bind it to a variable in \`env\``;
      return { message, field: "run", source: step.unsafeExpression, envKey: null };
    }
    for (const { field, envKey, template } of fieldsOf(step)) {
      const missing = template.find((segment) => segment.kind === "variable" && !values.has(segment.key));
      if (missing === undefined || missing.kind === "literal") continue;
      const source = sourceOf(missing);
      return { message: missingVariable(where, source), field, source, envKey };
    }
  }
  for (const key of variablesOfExpressions(job)) {
    if (values.has(key)) continue;
    const source = `vars.${key}`;
    const message = missingVariable(`an expression of the job "${job.key}"`, source);
    return { message, field: `jobs.${job.key}`, source, envKey: null };
  }
  return null;
}

function missingVariable(where: string, source: string): string {
  return `${where} reads \`${source}\`, but neither the project nor the workspace has this variable; set it with \`shipfox variables set\``;
}

function resolveJob(job: JobModel, values: ReadonlyMap<string, string>): JobModel {
  const read = pick(values, variablesOfExpressions(job));
  const fill = (template: Template) => resolveTemplate(template, values);
  return {
    ...job,
    ...(job.call === undefined ? {} : { call: { ...job.call, with: resolveInputs(job.call.with, fill) } }),
    ...(job.outputs === undefined ? {} : { outputs: substituteAll(job.outputs, valueIn(values)) }),
    ...(job.runnerTemplates === undefined ? {} : { runnerTemplates: job.runnerTemplates.map(fill) }),
    ...(job.concurrency === undefined
      ? {}
      : { concurrency: { ...job.concurrency, group: fill(job.concurrency.group) } }),
    ...(job.executionName === undefined ? {} : { executionName: fill(job.executionName) }),
    ...(Object.keys(read).length > 0 ? { variables: read } : {}),
    steps: job.steps.map((step) => resolveStep(step, values)),
  };
}

function resolveInputs(given: CallModel["with"], fill: (template: Template) => Template): CallModel["with"] {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, Array.isArray(value) ? fill(value) : value]),
  );
}

function resolveStep(step: AuthoredStepModel, values: ReadonlyMap<string, string>): AuthoredStepModel {
  const fill = (template: Template) => resolveTemplate(template, values);
  const { nameTemplate, workingDirectoryTemplate, gate } = step;
  const rules = {
    ...(nameTemplate === undefined ? {} : { nameTemplate: fill(nameTemplate) }),
    ...(workingDirectoryTemplate === undefined ? {} : { workingDirectoryTemplate: fill(workingDirectoryTemplate) }),
    ...(gate?.feedback == null ? {} : { gate: { ...gate, feedback: fill(gate.feedback) } }),
  };
  if (step.type === "checkout") return { ...step, ...rules, target: substituteAll(step.target, valueIn(values)) };
  const { bindings = {}, ...rest } = step;
  const resolved = Object.entries(bindings).map(([name, template]) => [name, fill(template)] as const);
  const [open, texts] = partition(resolved, ([, template]) => template.some(({ kind }) => kind !== "literal"));
  const env = texts.map(([name, [only]]) => [name, only?.kind === "literal" ? only.value : ""]);
  return {
    ...rest,
    ...rules,
    env: env.length === 0 ? step.env : { ...step.env, ...Object.fromEntries(env) },
    ...(open.length > 0 ? { bindings: Object.fromEntries(open) } : {}),
  };
}

function partition<T>(items: readonly T[], matches: (item: T) => boolean): [T[], T[]] {
  return [items.filter(matches), items.filter((item) => !matches(item))];
}

function resolveTemplate(template: Template, values: ReadonlyMap<string, string>): Template {
  return substitute(template, valueIn(values));
}

function valueIn(values: ReadonlyMap<string, string>) {
  return (segment: TemplateSegment) => (segment.kind === "variable" ? (values.get(segment.key) ?? "") : undefined);
}
