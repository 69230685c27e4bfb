/** What other modules and app.ts may use of runs. */
export { createRunRoutes } from "./routes.ts";
export { removeOldRuns } from "./retention.ts";
export { RemovedRuns } from "./removed-runs.ts";
export { removeRuns, RUNS_BATCH } from "./remove-runs.ts";
export { checkedOutCommit, isUntrusted, withholdsSecrets } from "./checked-out-commit.ts";
export { cancelRun, cancelRunsOf } from "./cancel-run.ts";
export { rerunRun } from "./rerun-run.ts";
export { startRun, type StartRun } from "./start-run.ts";
export type {
  DispatchPort,
  EndingsPort,
  ExplainWaiting,
  QueueEntry,
  ReadVariables,
  RunsDeps,
  WaitingPort,
} from "./ports.ts";
export { executionClaimed, executionLost, firstStep, nextStep, reportStep, type NextStepResult } from "./step-loop.ts";
export { runDueExecutions } from "./due-executions.ts";
export { runDueListeners } from "./due-listeners.ts";
export { listenerIsFull, resolveByEvent, takeEvent } from "./deliver-event.ts";
export { jobsListeningFor, lockListener, type Matcher, matchersFor, snapshotOf } from "./listener-store.ts";
export { leaseEnded } from "./concurrency.ts";
export { runDueMembers } from "./due-members.ts";
export { fillDuePlaces } from "./run-places.ts";
export { createUsageRoutes } from "./usage-routes.ts";
export { projectArchived } from "./model.ts";
export { type EndedRun, findEndedRun } from "./ended-run.ts";
export { findStep } from "./find-step.ts";
export { finalStatus } from "./final-status.ts";
export { type ExecutionFacts, findRun, lockExecution } from "./store.ts";
