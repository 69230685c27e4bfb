import { newId } from "@shipfox/shared/ids";
import type { ServiceConfig, SetupConfig } from "@shipfox/shared/machine";
import type { SqlValue, WriteTx } from "../../store/store.ts";
import { type CheckoutModel, DEFAULT_FETCH_DEPTH, requiredCapabilities, type JobModel } from "../workflow/public.ts";
import { fileConfigs } from "./file-configs.ts";
import { insertListener } from "./listener-store.ts";
import { decideReady, type JobStage } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { authoredConfig } from "./step-configs.ts";
import { insertRows } from "./store.ts";

/** A job of a new attempt. One that is carried over has succeeded in an earlier attempt and does not run again. */
export interface NewJob {
  readonly model: JobModel;
  /** The job of the earlier attempt that ran. */
  readonly carriedFrom?: string;
  /** What it published then. */
  readonly outputs?: string | null;
  /** It was skipped then, as part of a call that succeeded. */
  readonly wasSkipped?: boolean;
}

/** What a job says of itself when it starts, or of whether it does, takes the run to be there: see `advanceRun`. */
export function startsByExpression(job: JobModel): boolean {
  const { if: condition, executionName, runnerTemplates, listening, concurrency, call } = job;
  return [condition, executionName, runnerTemplates, listening, concurrency, call].some((part) => part !== undefined);
}

/**
 * Makes the jobs of a new attempt with everything they will do, and, with `queue`, queues those that need nothing, or only
 * what was carried over, and whose start takes no expression. A listening job gets its executions when it fires.
 */
export async function insertJobs(
  tx: WriteTx,
  { dispatch }: Pick<RunsDeps, "dispatch">,
  attempt: { workspaceId: string; projectId: string; runId: string; attemptId: string },
  jobs: readonly NewJob[],
  { queue, now }: { queue: boolean; now: number },
): Promise<void> {
  const { workspaceId, projectId, runId, attemptId } = attempt;
  const beginnings = beginningsOf(jobs, queue);
  const jobRows: SqlValue[][] = [];
  const executionRows: SqlValue[][] = [];
  const stepRows: SqlValue[][] = [];
  const needRows: SqlValue[][] = [];
  const listening: string[] = [];
  const queued: { model: JobModel; executionId: string }[] = [];
  for (const [position, job] of jobs.entries()) {
    const { model } = job;
    const { stage, openNeeds, openNodes } = beginnings[position] as Beginning;
    const jobId = newId(now);
    needRows.push(...openNodes.map((node) => [attemptId, node, jobId]));
    jobRows.push([
      jobId,
      workspaceId,
      projectId,
      runId,
      attemptId,
      model.key,
      model.name,
      position,
      job.carriedFrom === undefined ? "pending" : job.wasSkipped ? "skipped" : "succeeded",
      JSON.stringify(model.needs),
      nodeOf(model),
      stage,
      openNeeds,
      model.matrix ? JSON.stringify(model.matrix) : null,
      model.if === undefined ? 0 : 1,
      model.within ?? null,
      model.call?.path ?? null,
      JSON.stringify(model.runner),
      JSON.stringify(model),
      job.carriedFrom === undefined ? null : (job.outputs ?? null),
      job.carriedFrom ?? null,
      0,
      now,
      now,
    ]);
    if (job.carriedFrom !== undefined || model.call) continue;
    if (model.listening) {
      listening.push(jobId);
      continue;
    }
    const executionId = newId(now);
    const starts = stage === "going";
    executionRows.push([
      executionId,
      workspaceId,
      projectId,
      runId,
      attemptId,
      jobId,
      1,
      null,
      model.name ?? model.key,
      "pending",
      starts ? now : null,
      starts ? now + model.executionTimeoutMs : null,
      now,
      now,
    ]);
    stepRows.push(...stepsOf(model, executionId, now));
    if (starts) {
      queued.push({ model, executionId });
      tx.record({
        workspaceId,
        projectId,
        runId,
        jobId,
        executionId,
        type: "job.queued",
        payload: { key: model.key, sequence: 1 },
        createdAt: now,
      });
      dispatch.dueAt(tx, now + model.executionTimeoutMs);
    }
  }
  await insertRows(tx, "jobs", JOB_COLUMNS, jobRows);
  await insertRows(tx, "job_needs", "run_attempt_id, node, job_id", needRows);
  await insertRows(tx, "job_executions", EXECUTION_COLUMNS, executionRows);
  await insertRows(tx, "steps", STEP_COLUMNS, stepRows);
  for (const jobId of listening) await insertListener(tx, { jobId, workspaceId, runId });
  for (const { model, executionId } of queued) {
    await dispatch.enqueue(tx, {
      executionId,
      workspaceId,
      projectId,
      labels: model.runner,
      capabilities: requiredCapabilities(model),
      priority: model.priority ?? 0,
      avoidedSessionId: null,
      now,
    });
  }
}

interface Beginning {
  readonly stage: JobStage;
  readonly openNeeds: number;
  /** Of its needs those that have not ended. */
  readonly openNodes: readonly string[];
}

/** Where each job is at first. Of those that need nothing more the ones that start by an expression are left to `advanceRun`. */
function beginningsOf(jobs: readonly NewJob[], queue: boolean): Beginning[] {
  const open = new Map<string, number>();
  for (const { model, carriedFrom } of jobs)
    if (carriedFrom === undefined) open.set(nodeOf(model), (open.get(nodeOf(model)) ?? 0) + 1);
  const beginnings = jobs.map(({ model, carriedFrom }): Beginning => {
    if (carriedFrom !== undefined) return { stage: "over", openNeeds: 0, openNodes: [] };
    const openNodes = model.needs.filter((node) => open.has(node));
    const ofCall = model.within === undefined ? 0 : 1;
    const openNeeds = openNodes.reduce((sum, node) => sum + (open.get(node) ?? 0), ofCall);
    return { stage: openNeeds > 0 ? "blocked" : "ready", openNeeds, openNodes };
  });
  if (!queue) return beginnings;
  const ready = jobs.filter((_, index) => beginnings[index]?.stage === "ready").map(({ model }) => model);
  const verdicts = decideReady(
    ready.map((model) => ({
      spoilt: false,
      hasCondition: startsByExpression(model),
      ...(model.matrix ? { matrix: model.matrix } : {}),
    })),
    new Map(),
  );
  const stages = { start: "going", hold: "held", ask: "ready", skip: "ready" } as const;
  let next = 0;
  return beginnings.map((beginning) => {
    const verdict = beginning.stage === "ready" ? verdicts[next++] : undefined;
    return verdict ? { ...beginning, stage: stages[verdict] } : beginning;
  });
}

/** The key by which others need a job: those of a matrix are needed together. */
function nodeOf({ key, matrix }: JobModel): string {
  return matrix?.job ?? key;
}

const JOB_COLUMNS =
  "id, workspace_id, project_id, run_id, run_attempt_id, key, name, position, status, needs, node, stage, open_needs, matrix, has_condition, within, calls, labels, model, outputs, carried_from, infrastructure_retries, created_at, updated_at";
export const EXECUTION_COLUMNS =
  "id, workspace_id, project_id, run_id, run_attempt_id, job_id, sequence, retry_of, name, status, queued_at, due_at, created_at, updated_at";
export const STEP_COLUMNS =
  "id, job_execution_id, key, name, position, type, status, config, source_location, current_attempt, created_at, updated_at";

/** The rows of an execution's steps: the synthetic setup step at position 0, then the authored ones. */
export function stepsOf(job: JobModel, executionId: string, now: number): SqlValue[][] {
  const checksOutItself = job.steps[0]?.type === "checkout";
  const setup: SetupConfig = {
    ...(job.checkout === null || checksOutItself ? {} : { checkout: checkoutConfig(job.checkout) }),
    ...(job.image === null ? {} : { image: job.image }),
    ...(job.pull === undefined ? {} : { pull: job.pull }),
    ...(job.services === undefined ? {} : { services: job.services.map(serviceConfig) }),
    ...(job.network === undefined ? {} : { network: job.network }),
    ...fileConfigs(job),
    ...(checksOutItself && (job.caches ?? job.downloads) ? { files_after_checkout: true } : {}),
  };
  const authored = job.steps.map((step, index): SqlValue[] => {
    const config = authoredConfig(step, { isFirst: index === 0 });
    const location = JSON.stringify({
      start_line: step.sourceLocation.startLine,
      end_line: step.sourceLocation.endLine,
      ...(job.file === undefined ? {} : { path: job.file }),
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
