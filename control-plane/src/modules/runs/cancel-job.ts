import type { JobStatusReason } from "@shipfox/shared/api/runs";
import type { WriteTx } from "../../store/store.ts";
import { jobEnded, lockLine } from "./concurrency.ts";
import { endOpenSteps } from "./end-open-steps.ts";
import { closeListener } from "./listener-store.ts";
import { isTerminal } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { type ExecutionFacts, finishExecution, finishJob, type JobFacts, lockExecution } from "./store.ts";

interface Cancellation {
  readonly reason: JobStatusReason;
  /** Of the job; null when the reason says it all. */
  readonly message: string | null;
  /** Of its open steps, in words. */
  readonly because: string;
  /** The lease ends now; otherwise it lives until the runner reports that the step is dead. */
  readonly force: boolean;
}

type CancelDeps = Pick<RunsDeps, "dispatch" | "forUpdate">;

/** Cancels a job that has not ended, whether it waits, listens or runs. The caller holds the lock of `run`. */
export async function cancelJob(
  tx: WriteTx,
  deps: CancelDeps,
  run: { readonly workspace_id: string; readonly project_id: string; readonly run_id: string },
  job: Pick<JobFacts, "id" | "key" | "executionId" | "sequence" | "listenerStatus" | "calls">,
  cancellation: Cancellation,
  now: number,
): Promise<void> {
  const { reason, message } = cancellation;
  const { key, executionId, listenerStatus, calls } = job;
  await lockLine(tx, deps, job.id);
  const about = { ...run, job_id: job.id, ...(executionId === null ? {} : { id: executionId }) };
  const cancelled = executionId === null ? null : await cancelExecution(tx, deps, executionId, cancellation, now);
  if (listenerStatus !== null) await closeListener(tx, job.id, "cancelled");
  if (listenerStatus === "listening") record(tx, about, "job.resolved", { key, reason: "cancelled" }, now);
  if (cancelled || listenerStatus !== null || calls !== null)
    record(tx, about, "job.finished", { key, sequence: job.sequence ?? 0, status: "cancelled", reason }, now);
  await finishJob(tx, job.id, { status: "cancelled", reason, message }, now);
  await jobEnded(tx, deps, job.id, now);
}

/** Null for an execution that has ended. */
export async function cancelExecution(
  tx: WriteTx,
  deps: CancelDeps,
  executionId: string,
  { reason, message, because, force }: Cancellation,
  now: number,
): Promise<ExecutionFacts | null> {
  const facts = await lockExecution(tx, deps.forUpdate, executionId);
  if (!facts || isTerminal(facts.status)) return null;
  if (facts.status !== "pending" && force) await deps.dispatch.revokeLease(tx, facts.id, now);
  else if (facts.status !== "pending") await deps.dispatch.cancelLease(tx, facts.id, now);
  else await deps.dispatch.withdraw(tx, facts.id);
  await endOpenSteps(tx, facts, { status: "cancelled", message: because }, now);
  await finishExecution(tx, facts.id, { status: "cancelled", reason, message, cause: null, timedOut: false }, now);
  return facts;
}
