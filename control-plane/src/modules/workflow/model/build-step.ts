import type {
  AgentStepDocument,
  CheckoutStepDocument,
  CommonStepDocument,
  OutputDocument,
  RunStepDocument,
  StepDocument,
} from "../document/document.ts";
import { PREDICATE_SITES, type Site, TEMPLATE_SITES } from "../expressions/contexts.ts";
import { sourceOf, type Template, unescapeLiteral } from "../expressions/template.ts";
import type { Names } from "../expressions/names.ts";
import { DEFAULT_FETCH_DEPTH, STEP_NAME_FALLBACK_CHARACTERS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import type { Path } from "../yaml/source-map.ts";
import { checkAgent } from "./check-agent.ts";
import { envTemplates } from "./env.ts";
import { hoistExpressions } from "./hoist.ts";
import { schemaFault } from "./json-schema.ts";
import type { AgentStepModel, CheckoutStepModel, StepModel, StepPlan, StepRules } from "./model.ts";
import { readAsCode } from "./re-evaluation.ts";
import { isLiteral, notYet, type Surroundings } from "./surroundings.ts";
import { readTimeout } from "./timeout.ts";

export interface StepPlace extends Surroundings {
  readonly path: Path;
  /** Variables of the workflow and the job, already merged. */
  readonly inheritedEnv: Record<string, Template>;
  readonly names: Names;
  readonly needs: readonly string[];
  /** Keys of the steps before this one. */
  readonly earlierKeys: ReadonlySet<string>;
  /** Keys of this step and those after it. */
  readonly laterKeys: ReadonlySet<string>;
}

export function buildStep(step: StepDocument, place: StepPlace): StepPlan {
  const rules = buildRules(step, place);
  if ("run" in step) return { ...runStep(step, place), ...rules };
  return "checkout" in step ? { ...checkoutStep(step, place), ...rules } : { ...agentStep(step, place), ...rules };
}

/** Reads the text at `key` of the step. */
function read(place: StepPlace, text: string, key: string, site: Site = TEMPLATE_SITES.stepField): Template {
  const { expressions, names, needs, path } = place;
  return expressions.template(text, { path: [...path, ...key.split(".")], site, names, needs });
}

function common(step: CommonStepDocument, place: StepPlace, fallbackName: string) {
  const { path, source } = place;
  return {
    key: step.key === undefined ? null : unescapeLiteral(step.key),
    name: step.name === undefined ? fallbackName : unescapeLiteral(step.name),
    workingDirectory: step.working_directory === undefined ? null : unescapeLiteral(step.working_directory),
    sourceLocation: source.lines(path),
  };
}

function buildRules(step: CommonStepDocument, place: StepPlace): StepRules {
  const { path, expressions, names, needs } = place;
  const rules: StepRules = {};
  if (step.name !== undefined) {
    const name = read(place, step.name, "name");
    if (!isLiteral(name)) rules.nameTemplate = name;
  }
  if (step.if !== undefined) {
    const at = { path: [...path, "if"], site: PREDICATE_SITES.stepIf, names, needs, code: "invalid-step-if" as const };
    rules.if = expressions.condition(step.if, at);
  }
  if (step.working_directory !== undefined) {
    const folder = read(place, step.working_directory, "working_directory");
    if (!isLiteral(folder)) rules.workingDirectoryTemplate = folder;
  }
  if (step.gate !== undefined) {
    rules.gate = buildGate(step.gate, place);
  }
  if (step.outputs !== undefined) {
    rules.outputs = buildOutputs(step.outputs, place);
  }
  return rules;
}

function buildGate(gate: NonNullable<CommonStepDocument["gate"]>, place: StepPlace): NonNullable<StepRules["gate"]> {
  const { path, expressions, names } = place;
  const { success, on_failure: onFailure } = gate;
  const site = PREDICATE_SITES.gate;
  const successPath = [...path, "gate", "success"];
  if (onFailure) refuseBadRestart(onFailure.restart_from, place);
  return {
    success:
      success === undefined
        ? null
        : expressions.predicate(success, {
            path: successPath,
            site,
            names,
            needs: [],
            code: "invalid-step-gate-success",
          }),
    restartFrom: onFailure?.restart_from ?? null,
    feedback:
      onFailure?.feedback === undefined
        ? null
        : read(place, onFailure.feedback, "gate.on_failure.feedback", TEMPLATE_SITES.feedback),
  };
}

function refuseBadRestart(target: string, { path, earlierKeys, laterKeys, faults }: StepPlace): void {
  if (earlierKeys.has(target)) return;
  const found = laterKeys.has(target) ? "is this step or a later one" : "is not the key of a step of this job";
  const known = [...earlierKeys]
    .slice(0, 10)
    .map((key) => `"${shorten(key)}"`)
    .join(", ");
  const advice = known === "" ? "give an earlier step a `key`" : `earlier steps with a key: ${known}`;
  const message = `\`restart_from\` names an earlier step, but "${shorten(target)}" ${found}; ${advice}`;
  faults.add({
    code: "invalid-step-gate-restart-from",
    message,
    path: [...path, "gate", "on_failure", "restart_from"],
  });
}

function buildOutputs(outputs: Record<string, OutputDocument>, { path, faults }: StepPlace): StepRules["outputs"] {
  const declared = Object.entries(outputs).map(([key, output]) => {
    if (typeof output === "string") return [key, { type: output }] as const;
    const fault = output.schema === undefined ? null : schemaFault(output.schema);
    if (fault) {
      const at = [...path, "outputs", key, "schema"];
      faults.add({ code: "invalid-output-schema", message: fault.message, path: at, pointAt: [...at, ...fault.path] });
    }
    return [key, output] as const;
  });
  return Object.fromEntries(declared);
}

function runStep(step: RunStepDocument, place: StepPlace): StepModel {
  const { path, inheritedEnv, faults, warnings } = place;
  const { command } = TEMPLATE_SITES;
  const own = envTemplates(step.env, ["env"], (text, at) => read(place, text, at.join("."), command));
  const run = read(place, step.run, "run", command);
  const templates = { ...inheritedEnv, ...own };
  const { script, variables, unsafe } = hoistExpressions(run, new Set(Object.keys(templates)));
  const runPath = [...path, "run"];
  for (const expression of unsafe) warnings.add(reEvaluated(sourceOf(expression), runPath));
  const isUnsafe = new Set(unsafe);
  for (const expression of readAsCode(run)) {
    if (!isUnsafe.has(expression)) warnings.add(readByCommand(sourceOf(expression), runPath));
  }
  const unsafeExpression = unsafe[0] && sourceOf(unsafe[0]);
  const { env, bindings } = splitEnv({ ...templates, ...variables });
  const { key, name, workingDirectory, sourceLocation } = common(
    step,
    place,
    nameFromCommand(unescapeLiteral(step.run)),
  );
  // In the order in which stored models have them: a sync compares their text.
  return {
    key,
    name,
    type: "run",
    run: script,
    env,
    ...(Object.keys(bindings).length > 0 ? { bindings } : {}),
    ...(unsafeExpression === undefined ? {} : { unsafeExpression }),
    workingDirectory,
    timeoutMs: readTimeout(step.timeout, [...path, "timeout"], faults),
    sourceLocation,
  };
}

function agentStep(step: AgentStepDocument, place: StepPlace): AgentStepModel {
  const { path, faults, blocking } = place;
  checkAgent(step, path, faults);
  notYet(blocking, "an agent step", [...path, "prompt"]);
  const fields = (["model", "provider", "thinking"] as const).flatMap((key) => {
    const text = step[key];
    return text === undefined ? [] : [[key, read(place, text, key)] as const];
  });
  const { harness, tools, integrations } = step;
  return {
    ...common(step, place, nameFromPrompt(step)),
    type: "agent",
    prompt: read(place, step.prompt, "prompt"),
    ...Object.fromEntries(fields),
    ...(harness === undefined ? {} : { harness }),
    ...(tools === undefined ? {} : { tools }),
    ...(integrations === undefined ? {} : { integrations }),
  };
}

function checkoutStep(step: CheckoutStepDocument, place: StepPlace): CheckoutStepModel {
  const target = step.checkout;
  const fields = (["project", "connection", "repository", "ref", "path"] as const).flatMap((key) => {
    const text = target[key];
    return text === undefined ? [] : [[key, read(place, text, `checkout.${key}`)] as const];
  });
  return {
    ...common(step, place, "Checkout"),
    type: "checkout",
    target: Object.fromEntries(fields),
    force: target.force ?? false,
    contents: target.permissions?.contents ?? "read",
    persistCredentials: target["persist-credentials"] ?? true,
    fetchDepth: target["fetch-depth"] ?? DEFAULT_FETCH_DEPTH,
  };
}

function splitEnv(
  templates: Record<string, Template>,
): Pick<StepModel, "env"> & { bindings: Record<string, Template> } {
  const entries = Object.entries(templates).map(([name, template]) => ({ name, template, text: literalOf(template) }));
  return {
    env: Object.fromEntries(entries.flatMap(({ name, text }) => (text === null ? [] : [[name, text]]))),
    bindings: Object.fromEntries(
      entries.flatMap(({ name, template, text }) => (text === null ? [[name, template]] : [])),
    ),
  };
}

/** Null when the template has expressions. */
function literalOf(template: Template): string | null {
  const texts = template.map((segment) => (segment.kind === "literal" ? segment.value : null));
  return texts.includes(null) ? null : texts.join("");
}

function reEvaluated(source: string, path: Path) {
  const where = "in a substitution, a here-document, a comment, `$'…'` or after a backslash";
  const message = `\`\${{ ${shorten(source)} }}\` stands ${where}, where its value would become code; bind it to a variable in \`env\` and write \`$NAME\`. Until then no run can be created`;
  return { code: "re-evaluating-command" as const, message, path };
}

function readByCommand(source: string, path: Path) {
  const message = `\`\${{ ${shorten(source)} }}\` is given to a command that reads its words as code, such as \`eval\`, \`sh -c\`, \`awk\` or \`sed\`; make sure that nobody else decides its value`;
  return { code: "re-evaluating-command" as const, message, path };
}

/** The first line that does something, cut to a title's length. */
function nameFromCommand(run: string): string {
  const lines = run.split("\n").map((line) => line.trim());
  return cut(lines.find((text) => text !== "" && !text.startsWith("#")) ?? lines.find((text) => text !== "") ?? "run");
}

function nameFromPrompt({ model, prompt }: AgentStepDocument): string {
  const line =
    prompt
      .split("\n")
      .map((text) => text.trim())
      .find((text) => text !== "") ?? "agent";
  return cut(unescapeLiteral(model === undefined ? line : `${model} · ${line}`));
}

function cut(line: string): string {
  // By code point, so that no character is cut in half.
  const characters = Array.from(line.slice(0, 2 * STEP_NAME_FALLBACK_CHARACTERS));
  return characters.slice(0, STEP_NAME_FALLBACK_CHARACTERS).join("");
}
