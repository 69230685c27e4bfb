import type { JobStatusReason } from "@shipfox/shared/api/runs";
import type { WriteTx } from "../../store/store.ts";
import { endOpenSteps } from "./end-open-steps.ts";
import { isTerminal } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { finishExecution, finishJob, type JobFacts, lockExecution } from "./store.ts";

interface Cancellation {
  readonly reason: JobStatusReason;
  /** Of the job; null when the reason says it all. */
  readonly message: string | null;
  /** Of its open steps, in words. */
  readonly because: string;
  /** The lease ends now; otherwise it lives until the runner reports that the step is dead. */
  readonly force: boolean;
}

/** Cancels a job that has not ended, whether it waits or runs. The caller holds the run's lock. */
export async function cancelJob(
  tx: WriteTx,
  deps: Pick<RunsDeps, "dispatch" | "forUpdate">,
  job: Pick<JobFacts, "id" | "key" | "executionId">,
  { reason, message, because, force }: Cancellation,
  now: number,
): Promise<void> {
  const facts = await lockExecution(tx, deps.forUpdate, job.executionId);
  if (facts && !isTerminal(facts.status)) {
    if (facts.status !== "pending" && force) await deps.dispatch.revokeLease(tx, facts.id, now);
    else if (facts.status !== "pending") await deps.dispatch.cancelLease(tx, facts.id, now);
    else await deps.dispatch.withdraw(tx, facts.id);
    await endOpenSteps(tx, facts, { status: "cancelled", message: because }, now);
    await finishExecution(tx, facts.id, { status: "cancelled", reason, message, cause: null, timedOut: false }, now);
    record(tx, facts, "job.finished", { key: job.key, sequence: facts.sequence, status: "cancelled", reason }, now);
  }
  await finishJob(tx, job.id, { status: "cancelled", reason, message }, now);
}
