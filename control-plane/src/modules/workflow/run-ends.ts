/** The source of triggers that wait for the end of a run of another workflow. */
export const WORKFLOW_SOURCE = "workflow";
/** What such a trigger calls any end; the other events are the statuses that a run ends with. */
export const ANY_RUN_END = "completed";
export const RUN_END_EVENTS: readonly string[] = [ANY_RUN_END, "succeeded", "failed", "cancelled"];
