import { sourceOf, type Template } from "../expressions/template.ts";
import type { JobModel, StepModel, WorkflowModel } from "./model.ts";

/** Why no run can be created. `field` is `run` or `env.<name>`, `source` the expression. */
export interface UnresolvableFault {
  readonly message: string;
  readonly field: string;
  readonly source: string;
  readonly envKey: string | null;
}

/** The keys of all variables that the steps name, each once. */
export function variablesOf(model: WorkflowModel): Set<string> {
  const keys = new Set<string>();
  for (const step of model.jobs.flatMap(({ steps }) => steps)) {
    for (const segment of Object.values(step.bindings ?? {}).flat()) {
      if (segment.kind === "variable") keys.add(segment.key);
    }
  }
  return keys;
}

/** The model of one run: variables are replaced by their values, only secrets are left in `bindings`. */
export function resolveVariables(
  model: WorkflowModel,
  values: ReadonlyMap<string, string>,
): { ok: true; model: WorkflowModel } | { ok: false; fault: UnresolvableFault } {
  const fault = findFault(model, values);
  if (fault) return { ok: false, fault };
  return { ok: true, model: { ...model, jobs: model.jobs.map((job) => resolveJob(job, values)) } };
}

function findFault(model: WorkflowModel, values: ReadonlyMap<string, string>): UnresolvableFault | null {
  for (const job of model.jobs) {
    for (const [index, step] of job.steps.entries()) {
      const where = `step ${index + 1} of the job "${job.key}"`;
      if (step.unsafeExpression !== undefined) {
        const message = `\`\${{ ${step.unsafeExpression} }}\` in ${where} would become code of the shell; bind it to a variable in \`env\``;
        return { message, field: "run", source: step.unsafeExpression, envKey: null };
      }
      for (const [name, template] of Object.entries(step.bindings ?? {})) {
        const missing = template.find((segment) => segment.kind === "variable" && !values.has(segment.key));
        if (missing === undefined || missing.kind === "literal") continue;
        const source = sourceOf(missing);
        const message = `${where} reads \`${source}\`, but neither the project nor the workspace has this variable; set it with \`shipfox variables set\``;
        const isHoisted = step.run.includes(`{${name}}`) && name.startsWith("__sf_");
        return { message, field: isHoisted ? "run" : `env.${name}`, source, envKey: name };
      }
    }
  }
  return null;
}

function resolveJob(job: JobModel, values: ReadonlyMap<string, string>): JobModel {
  return { ...job, steps: job.steps.map((step) => resolveStep(step, values)) };
}

function resolveStep(step: StepModel, values: ReadonlyMap<string, string>): StepModel {
  const { bindings, ...rest } = step;
  if (bindings === undefined) return step;
  const resolved = Object.entries(bindings).map(
    ([name, template]) => [name, resolveTemplate(template, values)] as const,
  );
  const [withSecrets, texts] = partition(resolved, ([, template]) => template.some(({ kind }) => kind === "secret"));
  const env = texts.map(([name, [only]]) => [name, only?.kind === "literal" ? only.value : ""]);
  return {
    ...rest,
    env: { ...step.env, ...Object.fromEntries(env) },
    ...(withSecrets.length > 0 ? { bindings: Object.fromEntries(withSecrets) } : {}),
  };
}

function partition<T>(items: readonly T[], matches: (item: T) => boolean): [T[], T[]] {
  return [items.filter(matches), items.filter((item) => !matches(item))];
}

/** Neighbouring texts become one. */
function resolveTemplate(template: Template, values: ReadonlyMap<string, string>): Template {
  const resolved: Template = [];
  for (const segment of template) {
    const next: Template[number] =
      segment.kind === "variable" ? { kind: "literal", value: values.get(segment.key) ?? "" } : segment;
    const last = resolved.at(-1);
    if (next.kind === "literal" && last?.kind === "literal") {
      resolved[resolved.length - 1] = { kind: "literal", value: last.value + next.value };
    } else resolved.push(next);
  }
  return resolved;
}
