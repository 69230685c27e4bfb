import {
  type CoercedOutputs,
  coerceOutputs,
  type Evaluated,
  type Evaluation,
  evaluate,
  type OutputCheck,
} from "../workflow/public.ts";

/** What may take any time, because users decide what it is. Plain JSON, as its result. */
export type Task = { readonly evaluation: Evaluation } | { readonly outputs: OutputCheck };

export type TaskResult = Evaluated[] | CoercedOutputs;

export function performTask(task: Task): TaskResult {
  return "evaluation" in task ? evaluate(task.evaluation) : coerceOutputs(task.outputs);
}
