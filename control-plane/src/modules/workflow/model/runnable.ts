import type { WorkflowModel, WorkflowPlan } from "./model.ts";

/** The plan as something that runs, or null when it has parts that this version does not run; `notRunnable` says which. */
export function asRunnable(plan: WorkflowPlan): WorkflowModel | null {
  // Whatever makes a plan more than a model is among the reasons: other kinds of steps, conditions, later expressions.
  return plan.notRunnable ? null : (plan as WorkflowModel);
}
