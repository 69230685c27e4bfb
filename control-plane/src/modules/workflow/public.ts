/**
 * The workflow language: text in, model or diagnostics out. Pure; every module may use it, it uses none.
 */
export { DIAGNOSTIC_CODES, type Diagnostic } from "./diagnostics.ts";
export { DEFAULT_FETCH_DEPTH } from "./limits.ts";
export { type CheckoutModel, type JobModel, requiredCapabilities, type WorkflowModel } from "./model/model.ts";
export { resolveVariables, variablesOf } from "./model/resolve-variables.ts";
export type { Template } from "./expressions.ts";
export { parseWorkflow } from "./parse-workflow.ts";
