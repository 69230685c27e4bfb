import type { RerunMode } from "@shipfox/shared/api/runs";
import { newId } from "@shipfox/shared/ids";
import { ApiError } from "@shipfox/shared/errors";
import type { JobRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import type { JobModel } from "../workflow/public.ts";
import { advanceRun } from "./advance-run.ts";
import { insertJobs, startsByExpression } from "./insert-jobs.ts";
import { isOver } from "./model.ts";
import { record } from "./record-event.ts";
import { effectiveLimit, fillPlaces, type PlacesDeps } from "./run-places.ts";
import { requireActiveProject } from "./start-run.ts";
import { beginAttempt, insertRows, lockRun } from "./store.ts";

type LastJob = Pick<JobRow, "id" | "key" | "status" | "within" | "model" | "outputs" | "carried_from">;

const LAST_JOBS = `select j.id, j.key, j.status, j.within, j.model, j.outputs, j.carried_from from run_attempts a join jobs j on j.run_attempt_id = a.id
  where a.run_id = ? and a.attempt = ? order by j.position`;

/**
 * Begins a new attempt of a run that is over, from what the run was made of: its workflow file, variables, inputs and
 * trigger. With `failed`, jobs that succeeded are carried over with their results and all others run again. Throws 404
 * `not-found`, 409 `run-not-terminal`, `no-failed-jobs`, `project-archived`.
 */
export async function rerunRun(
  tx: WriteTx,
  deps: PlacesDeps,
  runId: string,
  { mode, now }: { mode: RerunMode; now: number },
): Promise<void> {
  const run = await lockRun(tx, deps.forUpdate, runId);
  if (!run) throw new ApiError("not-found", "the run does not exist");
  if (!isOver(run.status as "pending"))
    throw new ApiError("run-not-terminal", `the run is ${run.status}; cancel it first, or wait until it has ended`);
  await requireActiveProject(tx, run.project_id);
  const jobs = await tx.all<LastJob>(LAST_JOBS, [runId, run.current_attempt]);
  if (mode === "failed" && !jobs.some(({ status }) => status === "failed" || status === "cancelled"))
    throw new ApiError("no-failed-jobs", "no job of the run failed or was cancelled; rerun all of it with mode all");

  const attempt = run.current_attempt + 1;
  const attemptId = newId(now);
  const asks = (await effectiveLimit(tx, deps, run.workspace_id)) > 0;
  await beginAttempt(tx, run, { attempt, asks, now });
  await insertRows(tx, "run_attempts", "id, run_id, attempt, status, rerun_mode, created_at", [
    [attemptId, runId, attempt, "pending", mode, now],
  ]);
  const facts = { workspace_id: run.workspace_id, project_id: run.project_id, run_id: runId };
  record(tx, facts, "run.rerun", { status: "pending", attempt, mode }, now);
  const carried = mode === "failed" ? carriedOver(jobs) : NONE;
  const models = jobs.map((job) => JSON.parse(job.model) as JobModel);
  await insertJobs(
    tx,
    deps,
    { workspaceId: run.workspace_id, projectId: run.project_id, runId, attemptId },
    jobs.map((job, index) => ({
      model: models[index] as JobModel,
      outputs: job.outputs,
      ...(carried.has(job.key) ? { carriedFrom: job.carried_from ?? job.id } : {}),
      wasSkipped: job.status === "skipped",
    })),
    { queue: !asks, now },
  );
  if (asks) await fillPlaces(tx, deps, run.workspace_id, now);
  else if (models.some(startsByExpression)) await advanceRun(tx, deps, { ...facts, run_attempt_id: attemptId }, now);
}

const NONE: ReadonlySet<string> = new Set();

/** The keys of the jobs that do not run again: those that succeeded, and all of a call that did. In their order. */
function carriedOver(jobs: readonly LastJob[]): ReadonlySet<string> {
  const carried = new Set<string>();
  for (const { key, status, within } of jobs)
    if (status === "succeeded" || (within !== null && carried.has(within))) carried.add(key);
  return carried;
}
