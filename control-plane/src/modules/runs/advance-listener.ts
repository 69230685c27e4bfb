import type { WriteTx } from "../../store/store.ts";
import { advanceRun } from "./advance-run.ts";
import { cancelExecution } from "./cancel-job.ts";
import { fire, type ListeningJob } from "./fire-listener.ts";
import { judgeSuccess } from "./job-results.ts";
import { decideListened, decideListener, outputsOf, type ResolutionReason } from "./listener-model.ts";
import {
  bufferedEvents,
  closeListener,
  listenedExecutions,
  type ListenerFacts,
  lockListener,
  setListenerDue,
} from "./listener-store.ts";
import { isTerminal } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { fillPlaces } from "./run-places.ts";
import { finishJob } from "./store.ts";

/**
 * Does what the state of a listening job decides: fires, ends its listening, ends the job, or waits. After it took an event, after
 * one of its executions ended, and when its time has come. Harmless when done twice.
 */
export async function advanceListener(tx: WriteTx, deps: RunsDeps, jobId: string, now: number): Promise<void> {
  const facts = await lockListener(tx, deps.forUpdate, jobId);
  if (!facts || isTerminal(facts.job_status) || facts.status === "inactive") return;
  const model = JSON.parse(facts.model) as ListeningJob;
  if (facts.status === "resolved") return finishIfIdle(tx, deps, facts, model, now);
  const verdict = decideListener(model.listening, {
    now,
    firings: facts.firings,
    isBusy: isBusy(facts),
    expiresAt: facts.expires_at ?? now,
    buffered: await bufferedEvents(tx, jobId),
  });
  if (verdict.kind === "resolve") return resolveListener(tx, deps, facts, verdict.reason, now);
  const lookAt = verdict.kind === "wait" ? verdict.dueAt : await fire(tx, deps, facts, model, verdict.events, now);
  await setListenerDue(tx, jobId, lookAt);
  deps.dispatch.dueAt(tx, lookAt);
}

function isBusy({ execution_status: status }: ListenerFacts): boolean {
  return status !== null && !isTerminal(status);
}

/** Ends the listening: what waits is dropped, and the job ends with its execution, or at once. */
export async function resolveListener(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ListenerFacts,
  reason: ResolutionReason,
  now: number,
): Promise<void> {
  const model = JSON.parse(facts.model) as ListeningJob;
  await closeListener(tx, facts.job_id, reason);
  record(tx, facts, "job.resolved", { key: facts.key, reason }, now);
  let status = facts.execution_status;
  if (isBusy(facts) && facts.execution_id !== null && model.listening.onResolve === "cancel") {
    const because = "the job stopped listening, and `on_resolve: cancel` ends what runs";
    const cancellation = { reason: "run_cancelled", message: because, because, force: false } as const;
    const cancelled = await cancelExecution(tx, deps, facts.execution_id, cancellation, now);
    if (cancelled) {
      const ended = {
        key: facts.key,
        sequence: cancelled.sequence,
        status: "cancelled",
        reason: cancellation.reason,
      } as const;
      record(tx, cancelled, "job.execution_finished", ended, now);
    }
    status = "cancelled";
  }
  await finishIfIdle(tx, deps, { ...facts, status: "resolved", execution_status: status }, model, now);
}

async function finishIfIdle(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ListenerFacts,
  model: ListeningJob,
  now: number,
): Promise<void> {
  if (isBusy(facts)) return;
  const executions = await listenedExecutions(tx, facts.job_id);
  const end = await judgeSuccess(tx, deps, facts, model, decideListened(executions));
  const outputs = end.status === "succeeded" ? outputsOf(executions) : null;
  await finishJob(tx, facts.job_id, { ...end, outputs }, now);
  const { key, sequence, execution_id: executionId } = facts;
  const about = executionId === null ? facts : { ...facts, id: executionId };
  record(tx, about, "job.finished", { key, sequence: sequence ?? 0, status: end.status, reason: end.reason }, now);
  const { finished } = await advanceRun(tx, deps, facts, now);
  if (finished) await fillPlaces(tx, deps, facts.workspace_id, now);
}
