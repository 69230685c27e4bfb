import { canonicalLabels, isLabel, MAX_LABEL_LENGTH } from "@shipfox/shared/labels";
import type { WriteTx } from "../../store/store.ts";
import { type JobModel, type MatrixModel, requiredCapabilities } from "../workflow/public.ts";
import { cancelJob } from "./cancel-job.ts";
import { viewpointOf } from "./contexts.ts";
import { fill, fillName, judge, textOf } from "./evaluate.ts";
import { decideRun, type JobState } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import {
  endUnstartedStep,
  finishExecution,
  finishJob,
  finishRun,
  type JobFacts,
  labelJob,
  loadJobs,
  loadModel,
  loadSteps,
  markQueued,
  nameExecution,
} from "./store.ts";

/** Puts an execution into the queue: a runner may take it. */
export function enqueue(
  tx: WriteTx,
  deps: Pick<RunsDeps, "dispatch">,
  facts: { id: string; workspace_id: string; project_id: string },
  model: JobModel,
  avoidedSessionId: string | null,
  now: number,
): Promise<void> {
  return deps.dispatch.enqueue(tx, {
    executionId: facts.id,
    workspaceId: facts.workspace_id,
    projectId: facts.project_id,
    labels: model.runner,
    capabilities: requiredCapabilities(model),
    priority: model.priority ?? 0,
    avoidedSessionId,
    now,
  });
}

/** The run, and, where one of its executions has just ended, that one. */
interface AdvancedRun {
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly job_id?: string;
  readonly id?: string;
}

/** One of its jobs, with the newest execution. */
type JobInRun = AdvancedRun & { readonly job_id: string; readonly id: string };

function inRun(facts: AdvancedRun, job: JobFacts): JobInRun {
  return { ...facts, id: job.executionId, job_id: job.id };
}

type AdvanceDeps = Pick<RunsDeps, "dispatch" | "evaluator" | "forUpdate">;

const FAILED_MATRIX = "another job of the matrix failed, and `fail_fast` ends them all";
const OF_MATRIX = { reason: "matrix_failed", message: FAILED_MATRIX, because: FAILED_MATRIX, force: false } as const;
type SkipReason = "default_gate_rejected" | "condition_rejected" | "condition_errored";

/**
 * Starts, skips and finishes what the state of the jobs decides: after a job's end, and when a run gets its place. The
 * caller holds the run's lock, and gives away the place of a run that finished.
 */
export async function advanceRun(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  now: number,
): Promise<{ finished: boolean }> {
  const jobs = await loadJobs(tx, facts.run_attempt_id);
  const byKey = new Map(jobs.map((job) => [job.key, job]));
  const states = new Map<string, JobState>(
    jobs.map((job) => {
      const matrix = job.matrix === null ? {} : { matrix: JSON.parse(job.matrix) as MatrixModel };
      const needs = JSON.parse(job.needs) as string[];
      return [job.key, { key: job.key, status: job.status, needs, hasCondition: job.hasCondition === 1, ...matrix }];
    }),
  );
  // A retry that waits for its time has been started as well.
  const hasStarted = (job: JobFacts) => job.queuedAt !== null || job.executionStatus !== "pending" || job.sequence > 1;
  const started = new Set(jobs.filter(hasStarted).map((job) => job.key));
  const skip = async (keys: readonly string[], reason: SkipReason, message: string | null = null) => {
    for (const key of keys) {
      const [job, state] = [byKey.get(key), states.get(key)];
      if (job && state) states.set(key, { ...state, status: "skipped" });
      if (job) await endUnstartedJob(tx, inRun(facts, job), job, { status: "skipped", reason, message }, now);
    }
  };
  const accepted = new Set<string>();
  for (;;) {
    const verdict = decideRun([...states.values()], started, accepted);
    for (const key of verdict.cancel) {
      const [job, state] = [byKey.get(key), states.get(key)];
      if (!job || !state) continue;
      await cancelJob(tx, deps, job, OF_MATRIX, now);
      states.set(key, { ...state, status: "cancelled" });
    }
    await skip(verdict.skip, "default_gate_rejected");
    for (const key of verdict.ask) {
      const job = byKey.get(key);
      if (!job) continue;
      const { verdict: answer, message } = await judgeJob(tx, deps, facts, job);
      if (answer === "accepted") accepted.add(key);
      else await skip([key], `condition_${answer}`, message);
    }
    if (verdict.ask.length > 0) continue;
    let someFailed = false;
    for (const key of verdict.start) {
      const [job, state] = [byKey.get(key), states.get(key)];
      if (!job || !state) continue;
      const fault = await startJob(tx, deps, facts, job, now);
      started.add(key);
      if (fault === null) continue;
      const failed = { status: "failed", reason: "unknown", message: fault } as const;
      await endUnstartedJob(tx, inRun(facts, job), job, failed, now);
      states.set(key, { ...state, status: "failed" });
      someFailed = true;
    }
    if (someFailed) continue;
    if (verdict.finish === null) return { finished: false };
    await finishRun(tx, facts.run_id, verdict.finish, now);
    // Of the run alone: the job that happened to end last is no part of it.
    const { workspace_id, project_id, run_id } = facts;
    record(tx, { workspace_id, project_id, run_id }, "run.finished", { status: verdict.finish }, now);
    return { finished: true };
  }
}

async function judgeJob(tx: WriteTx, deps: AdvanceDeps, facts: AdvancedRun, job: JobFacts) {
  const model = JSON.parse(await loadModel(tx, job.id)) as JobModel;
  return judge(tx, deps, viewpointOf(inRun(facts, job), model), model.if ?? "");
}

/** Ends a job that has not started, with its execution and all steps of it. */
async function endUnstartedJob(
  tx: WriteTx,
  facts: JobInRun,
  { key }: JobFacts,
  { status, reason, message }: { status: "skipped" | "failed"; reason: SkipReason | "unknown"; message: string | null },
  now: number,
): Promise<void> {
  const execution = status === "skipped" ? "cancelled" : status;
  await finishJob(tx, facts.job_id, { status, reason, message }, now);
  await finishExecution(tx, facts.id, { status: execution, reason, message, cause: null, timedOut: false }, now);
  for (const step of await loadSteps(tx, { id: facts.id, job_model: await loadModel(tx, facts.job_id) }))
    await endUnstartedStep(tx, step.id, "skipped", "default_gate_rejected", now);
  record(tx, facts, "job.finished", { key, sequence: 1, status, reason }, now);
}

/** Queues a job with its expressions filled. Answers why that could not be done, in words; null when it was. */
async function startJob(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  job: JobFacts,
  now: number,
): Promise<string | null> {
  const own = inRun(facts, job);
  const labelled = await fillLabels(tx, deps, own, JSON.parse(await loadModel(tx, job.id)) as JobModel);
  if (!labelled.ok) return labelled.message;
  const { model } = labelled;
  if (model.executionName) {
    const name = await fillName(tx, deps, viewpointOf(own, model), model.executionName);
    if (name !== null) await nameExecution(tx, job.executionId, name);
  }
  await markQueued(tx, job.executionId, now + model.executionTimeoutMs, now);
  deps.dispatch.dueAt(tx, now + model.executionTimeoutMs);
  record(tx, own, "job.queued", { key: job.key, sequence: 1 }, now);
  await enqueue(tx, deps, own, model, null, now);
  return null;
}

/** The model with the labels that it computes; kept, so that a retry waits for the same runners. */
async function fillLabels(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: JobInRun,
  { runnerTemplates, ...model }: JobModel,
): Promise<{ ok: true; model: JobModel } | { ok: false; message: string }> {
  if (!runnerTemplates) return { ok: true, model };
  const filled = await fill(tx, deps, viewpointOf(facts, model), Object.fromEntries(runnerTemplates.entries()));
  if (!filled.ok)
    return { ok: false, message: `\`\${{ ${filled.source} }}\` in \`runner\` has no value: ${filled.message}` };
  const computed = Object.values(filled.templates).map((template) => textOf(template).trim().toLowerCase());
  const wrong = computed.find((label) => !isLabel(label));
  if (wrong !== undefined)
    return { ok: false, message: `"${wrong.slice(0, MAX_LABEL_LENGTH)}", which \`runner\` computes, is not a label` };
  const labelled = { ...model, runner: canonicalLabels([...model.runner, ...computed]) };
  await labelJob(tx, facts.job_id, labelled);
  return { ok: true, model: labelled };
}
