import { canonicalLabels, isLabel, MAX_LABEL_LENGTH } from "@shipfox/shared/labels";
import type { WriteTx } from "../../store/store.ts";
import { type JobModel, type MatrixModel, requiredCapabilities } from "../workflow/public.ts";
import { cancelJob } from "./cancel-job.ts";
import { cleanName } from "./begin-step.ts";
import type { Viewpoint } from "./contexts.ts";
import { fill, judge, textOf } from "./evaluate.ts";
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
      if (job) await skipJob(tx, facts, job, { reason, message }, now);
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
      await failJob(tx, facts, job, fault, now);
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
  return judge(tx, deps, viewpointOf(facts, job, model), model.if ?? "");
}

async function skipJob(
  tx: WriteTx,
  facts: AdvancedRun,
  job: JobFacts,
  { reason, message }: { reason: SkipReason; message: string | null },
  now: number,
): Promise<void> {
  const own = { ...facts, id: job.executionId, job_id: job.id };
  await finishJob(tx, job.id, { status: "skipped", reason, message }, now);
  await finishExecution(
    tx,
    job.executionId,
    { status: "cancelled", reason, message, cause: null, timedOut: false },
    now,
  );
  for (const step of await loadSteps(tx, { id: job.executionId, job_model: await loadModel(tx, job.id) }))
    await endUnstartedStep(tx, step.id, "skipped", "default_gate_rejected", now);
  record(tx, own, "job.finished", { key: job.key, sequence: 1, status: "skipped", reason }, now);
}

/** Queues a job with its expressions filled. Answers why that could not be done, in words; null when it was. */
async function startJob(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  job: JobFacts,
  now: number,
): Promise<string | null> {
  const own = { ...facts, id: job.executionId, job_id: job.id };
  const read = JSON.parse(await loadModel(tx, job.id)) as JobModel;
  const labelled = await fillLabels(tx, deps, facts, job, read);
  if (!labelled.ok) return labelled.message;
  const { model } = labelled;
  if (model.executionName) {
    const filled = await fill(tx, deps, viewpointOf(facts, job, model), { name: model.executionName });
    // A name that cannot be filled decides nothing.
    const name = filled.ok ? cleanName(textOf(filled.templates["name"] ?? [])) : "";
    if (name !== "") await nameExecution(tx, job.executionId, name);
  }
  await markQueued(tx, job.executionId, now + model.executionTimeoutMs, now);
  deps.dispatch.dueAt(tx, now + model.executionTimeoutMs);
  record(tx, own, "job.queued", { key: job.key, sequence: 1 }, now);
  await enqueue(tx, deps, own, model, null, now);
  return null;
}

function viewpointOf(facts: AdvancedRun, job: JobFacts, model: JobModel): Viewpoint {
  return {
    runId: facts.run_id,
    runAttemptId: facts.run_attempt_id,
    job: { id: job.id, model },
    executionId: job.executionId,
  };
}

/** The model with the labels that it computes; kept, so that a retry waits for the same runners. */
async function fillLabels(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  job: JobFacts,
  { runnerTemplates, ...model }: JobModel,
): Promise<{ ok: true; model: JobModel } | { ok: false; message: string }> {
  if (!runnerTemplates) return { ok: true, model };
  const filled = await fill(tx, deps, viewpointOf(facts, job, model), Object.fromEntries(runnerTemplates.entries()));
  if (!filled.ok)
    return { ok: false, message: `\`\${{ ${filled.source} }}\` in \`runner\` has no value: ${filled.message}` };
  const computed = Object.values(filled.templates).map((template) => textOf(template).trim().toLowerCase());
  const wrong = computed.find((label) => !isLabel(label));
  if (wrong !== undefined)
    return { ok: false, message: `"${wrong.slice(0, MAX_LABEL_LENGTH)}", which \`runner\` computes, is not a label` };
  const labelled = { ...model, runner: canonicalLabels([...model.runner, ...computed]) };
  await labelJob(tx, job.id, labelled);
  return { ok: true, model: labelled };
}

async function failJob(tx: WriteTx, facts: AdvancedRun, job: JobFacts, message: string, now: number): Promise<void> {
  const end = { status: "failed", reason: "unknown", message } as const;
  await finishJob(tx, job.id, end, now);
  await finishExecution(tx, job.executionId, { ...end, cause: null, timedOut: false }, now);
  for (const step of await loadSteps(tx, { id: job.executionId, job_model: await loadModel(tx, job.id) }))
    await endUnstartedStep(tx, step.id, "skipped", "default_gate_rejected", now);
  const own = { ...facts, id: job.executionId, job_id: job.id };
  record(tx, own, "job.finished", { key: job.key, sequence: 1, status: "failed", reason: "unknown" }, now);
}
