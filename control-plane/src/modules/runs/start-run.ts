import { newId } from "@shipfox/shared/ids";
import type { RunConfig, SecretBinding, ServiceConfig, SetupConfig } from "@shipfox/shared/machine";
import { ApiError } from "@shipfox/shared/errors";
import type { SqlValue, WriteTx } from "../../store/store.ts";
import {
  type CheckoutModel,
  DEFAULT_FETCH_DEPTH,
  requiredCapabilities,
  type JobModel,
  type Template,
  type WorkflowModel,
} from "../workflow/public.ts";
import { decideRun, projectArchived } from "./model.ts";
import { concurrencyLimit, effectiveLimit, fillPlaces, type PlacesDeps } from "./run-places.ts";
import { findRun, insertRows } from "./store.ts";

export interface StartRun {
  readonly workspaceId: string;
  readonly projectId: string;
  readonly definitionId: string;
  /** With its variables resolved. */
  readonly model: WorkflowModel;
  readonly workflowYaml: string;
  readonly trigger: {
    readonly provider: string | null;
    readonly source: string;
    readonly event: string;
    readonly payload: Record<string, unknown>;
  };
  readonly inputs: Record<string, unknown> | null;
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
  const { dispatch } = deps;
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
    ],
  ]);
  await insertRows(tx, "run_attempts", "id, run_id, attempt, status, created_at", [
    [attemptId, runId, 1, "pending", now],
  ]);
  tx.record({
    workspaceId,
    projectId,
    runId,
    type: "run.created",
    payload: { status: "pending", number: taken.last_run_number, name: model.name },
    createdAt: now,
  });

  const verdict = decideRun(
    model.jobs.map((job) => ({ key: job.key, status: "pending", needs: job.needs })),
    new Set(),
  );
  const jobRows: SqlValue[][] = [];
  const executionRows: SqlValue[][] = [];
  const stepRows: SqlValue[][] = [];
  const queued: { job: JobModel; executionId: string }[] = [];
  for (const [position, job] of model.jobs.entries()) {
    const jobId = newId(now);
    const executionId = newId(now);
    const starts = !asks && verdict.start.includes(job.key);
    jobRows.push([
      jobId,
      workspaceId,
      projectId,
      runId,
      attemptId,
      job.key,
      job.name,
      position,
      "pending",
      JSON.stringify(job.needs),
      JSON.stringify(job.runner),
      JSON.stringify(job),
      0,
      now,
      now,
    ]);
    executionRows.push([
      executionId,
      workspaceId,
      projectId,
      runId,
      attemptId,
      jobId,
      1,
      null,
      job.name ?? job.key,
      "pending",
      starts ? now : null,
      starts ? now + job.executionTimeoutMs : null,
      now,
      now,
    ]);
    stepRows.push(...stepsOf(job, executionId, now));
    if (starts) {
      queued.push({ job, executionId });
      tx.record({
        workspaceId,
        projectId,
        runId,
        jobId,
        executionId,
        type: "job.queued",
        payload: { key: job.key, sequence: 1 },
        createdAt: now,
      });
      dispatch.dueAt(tx, now + job.executionTimeoutMs);
    }
  }
  await insertRows(tx, "jobs", JOB_COLUMNS, jobRows);
  await insertRows(tx, "job_executions", EXECUTION_COLUMNS, executionRows);
  await insertRows(tx, "steps", STEP_COLUMNS, stepRows);
  for (const { job, executionId } of queued) {
    await dispatch.enqueue(tx, {
      executionId,
      workspaceId,
      projectId,
      labels: job.runner,
      capabilities: requiredCapabilities(job),
      priority: 0,
      avoidedSessionId: null,
      now,
    });
  }
  if (asks) {
    await fillPlaces(tx, deps, workspaceId, now);
    if (request.overLimit === "reject" && (await findRun(tx, runId))?.place_wanted_at != null) {
      throw concurrencyLimit(limit);
    }
  }
  return { runId };
}

async function requireActiveProject(tx: WriteTx, projectId: string): Promise<void> {
  const project = await tx.get<{ name: string; archived_at: number | null }>(PROJECT, [projectId]);
  if (project && project.archived_at !== null) throw projectArchived(project.name);
}

const RUN_COLUMNS =
  "id, workspace_id, project_id, definition_id, number, name, workflow_name, status, current_attempt, trigger_provider, trigger_source, trigger_event, trigger_payload, inputs, source_yaml, created_at, updated_at, place_wanted_at";
const JOB_COLUMNS =
  "id, workspace_id, project_id, run_id, run_attempt_id, key, name, position, status, needs, labels, model, infrastructure_retries, created_at, updated_at";
export const EXECUTION_COLUMNS =
  "id, workspace_id, project_id, run_id, run_attempt_id, job_id, sequence, retry_of, name, status, queued_at, due_at, created_at, updated_at";
export const STEP_COLUMNS =
  "id, job_execution_id, key, name, position, type, status, config, source_location, current_attempt, created_at, updated_at";

/** The rows of an execution's steps: the synthetic setup step at position 0, then the authored ones. */
export function stepsOf(job: JobModel, executionId: string, now: number): SqlValue[][] {
  const setup: SetupConfig = {
    ...(job.checkout === null ? {} : { checkout: checkoutConfig(job.checkout) }),
    ...(job.image === null ? {} : { image: job.image }),
    ...(job.pull === undefined ? {} : { pull: job.pull }),
    ...(job.services === undefined ? {} : { services: job.services.map(serviceConfig) }),
    ...(job.network === undefined ? {} : { network: job.network }),
  };
  const authored = job.steps.map((step, index): SqlValue[] => {
    const config: RunConfig = {
      run: step.run,
      ...(Object.keys(step.env).length > 0 ? { env: step.env } : {}),
      ...(step.bindings === undefined ? {} : { secret_bindings: secretBindings(step.bindings) }),
      ...(step.workingDirectory === null ? {} : { working_directory: step.workingDirectory }),
      ...(step.timeoutMs === null ? {} : { timeout_ms: step.timeoutMs }),
    };
    const location = JSON.stringify({
      start_line: step.sourceLocation.startLine,
      end_line: step.sourceLocation.endLine,
    });
    return [
      newId(now),
      executionId,
      step.key,
      step.name,
      index + 1,
      step.type,
      "pending",
      JSON.stringify(config),
      location,
      1,
      now,
      now,
    ];
  });
  return [
    [newId(now), executionId, null, "Set up job", 0, "setup", "pending", JSON.stringify(setup), null, 1, now, now],
    ...authored,
  ];
}

function secretBindings(bindings: Record<string, Template>): SecretBinding[] {
  return Object.entries(bindings).map(([target, template]) => ({
    target,
    segments: template.map((segment) => {
      if (segment.kind === "variable") throw new Error(`the variable ${segment.key} was not resolved before the run`);
      return segment;
    }),
  }));
}

function serviceConfig({ health, ...service }: NonNullable<JobModel["services"]>[number]): ServiceConfig {
  if (health === undefined) return service;
  const { cmd, intervalMs, timeoutMs, retries, startPeriodMs } = health;
  return {
    ...service,
    health: {
      cmd,
      ...(intervalMs === undefined ? {} : { interval_ms: intervalMs }),
      ...(timeoutMs === undefined ? {} : { timeout_ms: timeoutMs }),
      ...(retries === undefined ? {} : { retries }),
      ...(startPeriodMs === undefined ? {} : { start_period_ms: startPeriodMs }),
    },
  };
}

function checkoutConfig(checkout: CheckoutModel): SetupConfig["checkout"] {
  return {
    permissions: { contents: checkout.contents },
    persist_credentials: checkout.persistCredentials,
    ...(checkout.fetchDepth === DEFAULT_FETCH_DEPTH ? {} : { fetch_depth: checkout.fetchDepth }),
    ...(checkout.submodules === "none" ? {} : { submodules: checkout.submodules }),
    ...(checkout.lfs ? { lfs: true } : {}),
  };
}
