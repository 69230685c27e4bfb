import { type Diagnostic, DiagnosticLog, inReadingOrder } from "./diagnostics.ts";
import { checkDocument } from "./document/check-document.ts";
import type { WorkflowDocument } from "./document/document.ts";
import { ExpressionChecker } from "./expressions/check.ts";
import { buildModel } from "./model/build-model.ts";
import type { WorkflowPlan } from "./model/model.ts";
import { readYaml } from "./yaml/read-yaml.ts";

export type WorkflowResult =
  | {
      ok: true;
      document: WorkflowDocument;
      model: WorkflowPlan;
      warnings: Diagnostic[];
      /** What is accepted and not run yet, all of it with the code `not-runnable-yet`. */
      notRunnable: Diagnostic[];
    }
  | { ok: false; diagnostics: Diagnostic[] };

export interface ParseOptions {
  /** Labels of jobs for which neither the job nor the workflow names any; none unless given. */
  defaultRunnerLabels?: string[];
}

/**
 * Reads one workflow file. Never throws: a refused file answers with at least one diagnostic and at most
 * `MAX_DIAGNOSTICS`, in file order.
 *
 * Three layers, each stopping the next: YAML (`yaml/`), keys and types (`document/`), what holds between values
 * (`model/`). `document` is what the author wrote, `model` is what is made of it.
 */
export function parseWorkflow(yaml: string, options: ParseOptions = {}): WorkflowResult {
  const read = readYaml(yaml);
  if (!read.ok) return read;
  const { value, source } = read;

  const faults = new DiagnosticLog(source);
  const warnings = new DiagnosticLog(source);
  const document = checkDocument(value, faults);
  if (!document) return { ok: false, diagnostics: faults.inFileOrder() };

  const defaultRunnerLabels = options.defaultRunnerLabels ?? [];
  const expressions = new ExpressionChecker(faults);
  const ignored = new DiagnosticLog(source);
  const blocking = new DiagnosticLog(source);
  const model = buildModel(document, { source, expressions, defaultRunnerLabels, faults, warnings, ignored, blocking });
  if (!model) return { ok: false, diagnostics: faults.inFileOrder() };
  const notRunnable = inReadingOrder([...ignored.inFileOrder(), ...blocking.inFileOrder()]);
  return { ok: true, document, model, warnings: warnings.inFileOrder(), notRunnable };
}
