import type { DiagnosticLog } from "../diagnostics.ts";
import type { StepDocument } from "../document/document.ts";
import { unescapeLiteral } from "../expressions.ts";
import { STEP_NAME_FALLBACK_CHARACTERS } from "../limits.ts";
import type { Path, SourceMap } from "../yaml/source-map.ts";
import { envTexts } from "./env.ts";
import type { StepModel } from "./model.ts";
import { readTimeout } from "./timeout.ts";

export interface StepSurroundings {
  path: Path;
  /** Variables of the workflow and the job, already merged. */
  inheritedEnv: Record<string, string>;
  source: SourceMap;
  log: DiagnosticLog;
}

export function buildStep(step: StepDocument, { path, inheritedEnv, source, log }: StepSurroundings): StepModel {
  const run = unescapeLiteral(step.run);
  return {
    key: step.key ?? null,
    name: step.name === undefined ? nameFromCommand(run) : unescapeLiteral(step.name),
    type: "run",
    run,
    env: { ...inheritedEnv, ...envTexts(step.env) },
    workingDirectory: step.working_directory === undefined ? null : unescapeLiteral(step.working_directory),
    timeoutMs: readTimeout(step.timeout, [...path, "timeout"], log),
    sourceLocation: source.lines(path),
  };
}

/** The first line that does something, cut to a title's length. */
function nameFromCommand(run: string): string {
  const lines = run.split("\n").map((line) => line.trim());
  const line = lines.find((text) => text !== "" && !text.startsWith("#")) ?? lines.find((text) => text !== "") ?? "run";
  // By code point, so that no character is cut in half.
  const characters = Array.from(line.slice(0, 2 * STEP_NAME_FALLBACK_CHARACTERS));
  return characters.slice(0, STEP_NAME_FALLBACK_CHARACTERS).join("");
}
