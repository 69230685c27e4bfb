import { isLabel, LABEL_PATTERN } from "@shipfox/shared/labels";
import type { MatrixDocument, MatrixValue } from "../document/document.ts";
import { isImageReference, MATRIX_REFERENCE } from "../document/image.ts";
import type { Template } from "../expressions/template.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { warnOfRewrittenValue, warnOfRewrittenValues } from "./env.ts";
import { axesOf, type Combination, combinationsOf, partsOf } from "./matrix.ts";
import type { JobPlan } from "./model.ts";
import type { Surroundings } from "./surroundings.ts";

/** One plan for each combination of the matrix; what a value makes wrong is a fault of the matrix. */
export function expandMatrix(
  plan: JobPlan,
  matrix: MatrixDocument,
  { source, faults: log, warnings }: Pick<Surroundings, "source" | "faults" | "warnings">,
): JobPlan[] {
  const matrixPath = ["jobs", plan.key, "matrix"];
  const parts = partsOf(matrix);
  for (const [axis, values] of Object.entries(parts.axes))
    for (const [index, value] of values.entries())
      warnOfRewrittenValue(value, [...matrixPath, axis, index], source, warnings);
  for (const key of ["include", "exclude"] as const)
    for (const [index, entry] of parts[key].entries())
      warnOfRewrittenValues(entry, [...matrixPath, key, index], source, warnings);
  const unknown = parts.exclude.flatMap((entry, index) =>
    Object.keys(entry)
      .filter((axis) => !Object.hasOwn(parts.axes, axis))
      .map((axis) => ({ axis, at: [...matrixPath, "exclude", index, axis] })),
  );
  for (const { axis, at } of unknown) {
    const message = `\`exclude\` names "${shorten(axis)}", which is not an axis of the matrix`;
    log.add({ code: "unknown-matrix-axis", message, path: at, at: "key" });
  }
  const combinations = combinationsOf(matrix);
  if (combinations.length === 0) {
    const message = "the matrix has no combination left: `exclude` takes all of them away";
    log.add({ code: "invalid-value", message, path: matrixPath, at: "key" });
  }
  const names = axesOf(matrix);
  const plans = combinations.map((combination) => expand(plan, matrix, combination, names));
  // Faults of what is put in would only repeat those of the expressions.
  if (!log.isEmpty) return plans;
  for (const message of faultsOf(plans)) log.add({ code: "invalid-value", message, path: matrixPath, at: "key" });
  return plans;
}

function expand(
  { runnerTemplates = [], ...plan }: JobPlan,
  matrix: MatrixDocument,
  combination: Combination,
  names: ReadonlySet<string>,
): JobPlan {
  const suffix = `(${Object.values(combination).join(", ")})`;
  const filled = runnerTemplates.map((template) => fillTemplate(template, combination));
  const [labels, open] = [filled.flatMap(textOf), filled.filter((template) => textOf(template).length === 0)];
  const fill = (text: string) => fillText(text, combination);
  return {
    ...plan,
    key: `${plan.key} ${suffix}`,
    name: plan.name === null ? null : `${plan.name} ${suffix}`,
    matrix: {
      job: plan.key,
      // Each name has a value in each job, so that an expression can ask for it.
      values: Object.fromEntries([...names].map((name) => [name, valueOf(combination, name)])),
      maxParallel: matrix.max_parallel ?? null,
      failFast: matrix.fail_fast ?? true,
    },
    image: plan.image === null ? null : fill(plan.image),
    ...(plan.services
      ? { services: plan.services.map((service) => ({ ...service, image: fill(service.image) })) }
      : {}),
    // Not made canonical: a label that turned out empty is a fault, not one less.
    runner: [...new Set([...plan.runner, ...labels])].sort(),
    ...(open.length > 0 ? { runnerTemplates: open } : {}),
  };
}

/** What is wrong with the jobs that came out, in words, each once. */
function faultsOf(plans: readonly JobPlan[]): Set<string> {
  const faults = new Set<string>();
  const keys = new Set<string>();
  for (const { key, name, image, services = [], runner } of plans) {
    if (keys.has(key)) faults.add(`the matrix has the combination "${shorten(key)}" twice`);
    keys.add(key);
    if (Math.max(key.length, name?.length ?? 0) > MAX_NAME_CHARACTERS)
      faults.add(`the name of the job "${shorten(key)}" would have over ${MAX_NAME_CHARACTERS} characters`);
    for (const reference of [image, ...services.map((service) => service.image)])
      if (reference !== null && !isImageReference(reference))
        faults.add(`the image of "${shorten(key)}" would be "${shorten(reference)}", which is not an image reference`);
    for (const label of runner)
      if (!isLabel(label))
        faults.add(
          `a runner label of "${shorten(key)}" would be "${shorten(label)}", which does not match ${LABEL_PATTERN.source}`,
        );
  }
  return faults;
}

const BARE = /^matrix\.([A-Za-z_]\w*)$/;

function fillTemplate(template: Template, combination: Combination): Template {
  return template.map((segment) => {
    const axis = segment.kind === "expression" ? BARE.exec(segment.source)?.[1] : undefined;
    return axis === undefined ? segment : { kind: "literal", value: written(combination, axis) };
  });
}

/** Empty when the template has expressions left. */
function textOf(template: Template): string[] {
  const texts = template.flatMap((segment) => (segment.kind === "literal" ? [segment.value] : []));
  return texts.length === template.length ? [texts.join("").trim().toLowerCase()] : [];
}

function fillText(text: string, combination: Combination): string {
  return text.replaceAll(MATRIX_REFERENCE, (_reference, axis: string) => written(combination, axis));
}

function valueOf(combination: Combination, name: string): MatrixValue | null {
  return Object.hasOwn(combination, name) ? (combination[name] ?? null) : null;
}

/** As expressions show it. */
function written(combination: Combination, name: string): string {
  return String(valueOf(combination, name) ?? "");
}
