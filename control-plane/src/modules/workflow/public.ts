/**
 * The workflow language: text in, model or diagnostics out. Pure; every module may use it, it uses none.
 */
export { DIAGNOSTIC_CODES, type Diagnostic, type DiagnosticCode } from "./diagnostics.ts";
export type { WorkflowDocument } from "./document/document.ts";
export { MAX_WORKFLOW_CHARACTERS } from "./limits.ts";
export {
  type JobModel,
  type ManualTriggerModel,
  requiredCapabilities,
  type StepModel,
  type WorkflowModel,
} from "./model/model.ts";
export { type ParseOptions, parseWorkflow, type WorkflowResult } from "./parse-workflow.ts";
