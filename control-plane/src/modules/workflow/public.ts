/**
 * The workflow language: text in, model or diagnostics out. Pure; every module may use it, it uses none.
 */
export { DIAGNOSTIC_CODES, type Diagnostic } from "./diagnostics.ts";
export { WORKFLOW_JSON_SCHEMA } from "./document/check-document.ts";
export { DEFAULT_FETCH_DEPTH, MAX_LISTENING_MS } from "./limits.ts";
export {
  type AuthoredStepModel,
  type CallModel,
  type CheckoutModel,
  type CheckoutStepModel,
  type ConcurrencyModel,
  type JobModel,
  type JobPlan,
  type ListeningModel,
  type MatrixModel,
  type RetryModel,
  type RunStepModel,
  requiredCapabilities,
  type TriggerModel,
  type WorkflowModel,
  type WorkflowPlan,
} from "./model/model.ts";
export { readGroupName } from "./group-name.ts";
export { nextFire } from "./model/cron.ts";
export { asRunnable } from "./model/runnable.ts";
export { CallLinker, type ReadWorkflow } from "./model/link-calls.ts";
export { inputFault, readInputs } from "./model/read-inputs.ts";
export { resolveExecution, resolveVariables, variablesOf, variablesOfJob } from "./model/resolve-variables.ts";
export { namesRead, sourcesOf } from "./expressions/names-read.ts";
export {
  literalTextOf,
  substitute,
  substituteAll,
  type Template,
  type TemplateSegment,
} from "./expressions/template.ts";
export type { Root } from "./expressions/contexts.ts";
export { ANY_RUN_END, WORKFLOW_SOURCE } from "./run-ends.ts";
export { parseWorkflow } from "./parse-workflow.ts";
export { type Evaluated, type Evaluation, evaluate, type Expression, isPlain } from "./expressions/evaluate.ts";
export { type CoercedOutputs, coerceOutputs, type OutputCheck } from "./outputs.ts";
export { parseValues, stringifyValues } from "./expressions/values.ts";
