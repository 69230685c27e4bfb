import type { DiagnosticLog } from "../diagnostics.ts";
import type { StepDocument } from "../document/document.ts";
import { parseTemplate, sourceOf, type Template, unescapeLiteral } from "../expressions.ts";
import { STEP_NAME_FALLBACK_CHARACTERS } from "../limits.ts";
import type { Path, SourceMap } from "../yaml/source-map.ts";
import { envTemplates } from "./env.ts";
import { hoistExpressions } from "./hoist.ts";
import type { StepModel } from "./model.ts";
import { readTimeout } from "./timeout.ts";

export interface StepSurroundings {
  path: Path;
  /** Variables of the workflow and the job, already merged. */
  inheritedEnv: Record<string, Template>;
  source: SourceMap;
  log: DiagnosticLog;
  warnings: DiagnosticLog;
}

export function buildStep(
  step: StepDocument,
  { path, inheritedEnv, source, log, warnings }: StepSurroundings,
): StepModel {
  const templates = { ...inheritedEnv, ...envTemplates(step.env) };
  const { script, variables, unsafe } = hoistExpressions(
    parseTemplate(step.run).segments,
    new Set(Object.keys(templates)),
  );
  const unsafeExpression = unsafe[0] && sourceOf(unsafe[0]);
  if (unsafeExpression !== undefined) warnings.add(reEvaluated(unsafeExpression, [...path, "run"]));
  const { env, bindings } = splitEnv({ ...templates, ...variables });
  return {
    key: step.key ?? null,
    name: step.name === undefined ? nameFromCommand(unescapeLiteral(step.run)) : unescapeLiteral(step.name),
    type: "run",
    run: script,
    env,
    ...(Object.keys(bindings).length > 0 ? { bindings } : {}),
    ...(unsafeExpression === undefined ? {} : { unsafeExpression }),
    workingDirectory: step.working_directory === undefined ? null : unescapeLiteral(step.working_directory),
    timeoutMs: readTimeout(step.timeout, [...path, "timeout"], log),
    sourceLocation: source.lines(path),
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
  const message = `\`\${{ ${source} }}\` stands ${where}, where its value would become code; bind it to a variable in \`env\` and write \`$NAME\`. Until then no run can be created`;
  return { code: "re-evaluating-command" as const, message, path };
}

/** The first line that does something, cut to a title's length. */
function nameFromCommand(run: string): string {
  const lines = run.split("\n").map((line) => line.trim());
  const line = lines.find((text) => text !== "" && !text.startsWith("#")) ?? lines.find((text) => text !== "") ?? "run";
  // By code point, so that no character is cut in half.
  const characters = Array.from(line.slice(0, 2 * STEP_NAME_FALLBACK_CHARACTERS));
  return characters.slice(0, STEP_NAME_FALLBACK_CHARACTERS).join("");
}
