import type { TriggerReference } from "@shipfox/shared/api/runs";
import { newId } from "@shipfox/shared/ids";
import { ApiError } from "@shipfox/shared/errors";
import type { WriteTx } from "../../store/store.ts";
import type { WorkflowModel } from "../workflow/public.ts";
import { advanceRun } from "./advance-run.ts";
import { fillName } from "./evaluate.ts";
import { insertJobs, startsByExpression } from "./insert-jobs.ts";
import { projectArchived } from "./model.ts";
import { concurrencyLimit, effectiveLimit, fillPlaces, type PlacesDeps } from "./run-places.ts";
import { findRun, insertRows } from "./store.ts";

export interface StartRun {
  readonly workspaceId: string;
  readonly projectId: string;
  readonly definitionId: string;
  /** With its variables resolved. */
  readonly model: WorkflowModel;
  readonly workflowYaml: string;
  /** The files that it calls, as JSON of a list of `{path, yaml}`. */
  readonly calledFiles?: string | null;
  readonly trigger: {
    readonly provider: string | null;
    readonly source: string;
    readonly event: string;
    readonly payload: Record<string, unknown>;
    /** What of a repository it is about. */
    readonly reference?: TriggerReference | null;
  };
  /** The commit that all jobs check out; without it the newest of the default branch when the first one starts. */
  readonly pinnedCommit?: string | null;
  readonly inputs: Record<string, unknown> | null;
  /** Somebody without rights to the repository may have made what it runs: it saves no caches. */
  readonly untrusted?: boolean;
  /** How many runs in a row, each started by the end of the one before, led to this one. */
  readonly depth?: number;
  /** What becomes of a run for which the workspace has no place: it waits, or it is refused with 429 `concurrency-limit`. */
  readonly overLimit?: "wait" | "reject";
  readonly now: number;
}

const PROJECT = "select name, archived_at from projects where id = ?";
const TAKE_NUMBER =
  "update definitions set last_run_number = last_run_number + 1 where id = ? and deleted_at is null returning last_run_number";

/**
 * Creates a run with everything it will do, and queues the jobs that need nothing, or lets it wait for a place in its
 * workspace. One transaction, the caller's. Throws 404 `manual-trigger-not-found` for a definition that was removed, 409
 * `project-archived`, 429 `concurrency-limit`.
 */
export async function startRun(tx: WriteTx, deps: PlacesDeps, request: StartRun): Promise<{ runId: string }> {
  const { workspaceId, projectId, definitionId, model, now } = request;
  const limit = await effectiveLimit(tx, deps, workspaceId);
  const asks = limit > 0;
  await requireActiveProject(tx, projectId);
  const taken = await tx.get<{ last_run_number: number }>(TAKE_NUMBER, [definitionId]);
  if (!taken)
    throw new ApiError(
      "manual-trigger-not-found",
      "the definition was removed; list the project's definitions for those that exist",
    );
  const runId = newId(now);
  const attemptId = newId(now);
  await insertRows(tx, "runs", RUN_COLUMNS, [
    [
      runId,
      workspaceId,
      projectId,
      definitionId,
      taken.last_run_number,
      model.name,
      model.name,
      "pending",
      1,
      request.trigger.provider,
      request.trigger.source,
      request.trigger.event,
      JSON.stringify(request.trigger.payload),
      request.inputs === null ? null : JSON.stringify(request.inputs),
      request.workflowYaml,
      now,
      now,
      asks ? now : null,
      request.trigger.reference ? JSON.stringify(request.trigger.reference) : null,
      request.pinnedCommit ?? null,
      request.untrusted === true ? 1 : 0,
      refOf(request),
      request.depth ?? 0,
      request.calledFiles ?? null,
    ],
  ]);
  await insertRows(tx, "run_attempts", "id, run_id, attempt, status, created_at", [
    [attemptId, runId, 1, "pending", now],
  ]);
  const name = await nameRun(tx, deps, { runId, attemptId }, model);
  tx.record({
    workspaceId,
    projectId,
    runId,
    type: "run.created",
    payload: { status: "pending", number: taken.last_run_number, name },
    createdAt: now,
  });

  const attempt = { workspaceId, projectId, runId, attemptId };
  await insertJobs(
    tx,
    deps,
    attempt,
    model.jobs.map((job) => ({ model: job })),
    { queue: !asks, now },
  );
  if (!asks && model.jobs.some(startsByExpression)) {
    const facts = { workspace_id: workspaceId, project_id: projectId, run_id: runId, run_attempt_id: attemptId };
    await advanceRun(tx, deps, facts, now);
  }
  if (asks) {
    await fillPlaces(tx, deps, workspaceId, now);
    if (request.overLimit === "reject" && (await findRun(tx, runId))?.place_wanted_at != null) {
      throw concurrencyLimit(limit);
    }
  }
  return { runId };
}

/** The ref whose code the run has, null for the default branch. A commit of which no ref is told stands for itself. */
function refOf({ pinnedCommit, trigger }: StartRun): string | null {
  return pinnedCommit ? (trigger.reference?.ref ?? pinnedCommit) : null;
}

const NAME_RUN = "update runs set name = ? where id = ?";

/** The name that the workflow computes for the run; its own where that gives none. */
async function nameRun(
  tx: WriteTx,
  deps: PlacesDeps,
  { runId, attemptId }: { runId: string; attemptId: string },
  { name, runName, variables = {} }: WorkflowModel,
): Promise<string> {
  if (!runName) return name;
  const computed = await fillName(tx, deps, { runId, runAttemptId: attemptId, variables }, runName);
  if (computed === null) return name;
  await tx.run(NAME_RUN, [computed, runId]);
  return computed;
}

/** Throws 409 `project-archived`. */
export async function requireActiveProject(tx: WriteTx, projectId: string): Promise<void> {
  const project = await tx.get<{ name: string; archived_at: number | null }>(PROJECT, [projectId]);
  if (project && project.archived_at !== null) throw projectArchived(project.name);
}

const RUN_COLUMNS =
  "id, workspace_id, project_id, definition_id, number, name, workflow_name, status, current_attempt, trigger_provider, trigger_source, trigger_event, trigger_payload, inputs, source_yaml, created_at, updated_at, place_wanted_at, trigger_reference, pinned_commit, untrusted, ref, trigger_depth, called_files";
