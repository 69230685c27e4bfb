import type { DiagnosticLog } from "../diagnostics.ts";
import type { ExpressionChecker } from "../expressions/check.ts";
import type { Template } from "../expressions/template.ts";
import type { Path, SourceMap } from "../yaml/source-map.ts";

/** What every part of a workflow is built with. */
export interface Surroundings {
  readonly source: SourceMap;
  readonly expressions: ExpressionChecker;
  readonly faults: DiagnosticLog;
  readonly warnings: DiagnosticLog;
  /** What this version does not do, while runs go on without it. */
  readonly ignored: DiagnosticLog;
  /** What this version does not do, so that no run can be created. */
  readonly blocking: DiagnosticLog;
}

/** Says that `what` at `path` is accepted and not run yet. */
export function notYet(log: DiagnosticLog, what: string, path: Path, at: "key" | "value" = "key"): void {
  const consequence = "the file is accepted, and this version does not run it yet";
  log.add({ code: "not-runnable-yet", message: `${what} is part of the language: ${consequence}`, path, at });
}

/** True when the text is all there is, without any expression. */
export function isLiteral(template: Template): boolean {
  return template.every(({ kind }) => kind === "literal");
}
