import { ApiError } from "@shipfox/shared/errors";
import type { WriteTx } from "../../store/store.ts";
import { cancelJob } from "./cancel-job.ts";
import { leaveLines } from "./concurrency.ts";
import { endRun } from "./end-run.ts";
import type { RunsDeps } from "./ports.ts";
import { isOver } from "./model.ts";
import { fillPlaces } from "./run-places.ts";
import { loadOpen, lockRun } from "./store.ts";

/**
 * Cancels everything of the run that has not ended, at once. Busy runners are told on their heartbeat; their leases live
 * on until they report that the step is dead, so that the last lines of the log are kept. With `force` the leases end now
 * and the runners kill without grace; it also works on a run whose runners are still being given their grace.
 */
export async function cancelRun(
  tx: WriteTx,
  deps: RunsDeps,
  runId: string,
  { force, now }: { force: boolean; now: number },
): Promise<void> {
  const run = await lockRun(tx, deps.forUpdate, runId);
  if (!run) throw new ApiError("not-found", "the run does not exist");
  if (isOver(run.status as "pending")) {
    if (force && run.status === "cancelled" && (await revokeLeasesOf(tx, deps, run, now))) return;
    throw new ApiError(
      "run-already-finished",
      `the run has already ${run.status === "cancelled" ? "been cancelled" : run.status}`,
    );
  }
  const attempt = await tx.get<{ id: string }>("select id from run_attempts where run_id = ? and attempt = ?", [
    runId,
    run.current_attempt,
  ]);
  const attemptId = attempt?.id ?? "";
  const open = await loadOpen(tx, attemptId);
  await leaveLines(tx, deps, attemptId, open);
  for (const job of open) {
    await cancelJob(
      tx,
      deps,
      { ...run, run_id: runId },
      job,
      { reason: "run_cancelled", message: null, because: "the run was cancelled", force },
      now,
    );
  }
  const facts = { workspace_id: run.workspace_id, project_id: run.project_id, run_id: runId };
  await endRun(tx, deps, facts, { status: "cancelled", force, now });
  await fillPlaces(tx, deps, run.workspace_id, now);
}

const UNFINISHED_OF = `select r.id from projects p join runs r on r.project_id = p.id
  where p.workspace_id = ? and r.status in ('pending', 'running') order by r.id limit ?`;

/** Cancels runs of a workspace that have not ended, and answers how many these were: `limit` when there may be more. */
export async function cancelRunsOf(
  tx: WriteTx,
  deps: RunsDeps,
  workspaceId: string,
  { limit, now }: { limit: number; now: number },
): Promise<number> {
  const runs = await tx.all<{ id: string }>(UNFINISHED_OF, [workspaceId, limit]);
  for (const { id } of runs) await cancelRun(tx, deps, id, { force: true, now });
  return runs.length;
}

/** Along the references, which have indexes; an execution is not found by its run. */
export const EXECUTIONS_OF = `select e.id from run_attempts a join jobs j on j.run_attempt_id = a.id
  join job_executions e on e.job_id = j.id where a.run_id = ? order by e.id`;

/** Takes the rest of their grace from runners that are being cancelled; false when none is left. */
async function revokeLeasesOf(tx: WriteTx, deps: RunsDeps, run: { id: string }, now: number): Promise<boolean> {
  let revoked = false;
  for (const execution of await tx.all<{ id: string }>(EXECUTIONS_OF, [run.id]))
    revoked = (await deps.dispatch.revokeLease(tx, execution.id, now)) || revoked;
  return revoked;
}
