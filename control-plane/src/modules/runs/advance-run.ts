import type { WriteTx } from "../../store/store.ts";
import { type JobModel, literalTextOf, type MatrixModel, readGroupName } from "../workflow/public.ts";
import { activateListener } from "./activate-listener.ts";
import { closeCall, fillInputs, openCall } from "./calls.ts";
import { cancelJob } from "./cancel-job.ts";
import { arrive, leaveLines } from "./concurrency.ts";
import { viewpointOf } from "./contexts.ts";
import { endRun } from "./end-run.ts";
import { fill, fillName, judge } from "./evaluate.ts";
import { decideFinish, decideReady, type ReadyJob } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { fillLabels, queueExecution } from "./queue-execution.ts";
import { record } from "./record-event.ts";
import {
  countGoing,
  type EndedJob,
  endUnstartedStep,
  finishExecution,
  finishJob,
  groupJob,
  type JobFacts,
  labelJob,
  loadModel,
  loadOpen,
  loadOpenWithin,
  loadReady,
  loadSteps,
  moveJob,
  nameExecution,
  releaseHeld,
  settleNeeds,
  summarise,
} from "./store.ts";

/** The run, and, where one of its executions has just ended, that one. */
interface AdvancedRun {
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly job_id?: string;
  readonly id?: string;
}

/** One of its jobs, with the newest execution if it has one. */
type JobInRun = AdvancedRun & { readonly job_id: string };

function inRun({ id: _other, ...facts }: AdvancedRun, job: JobFacts): JobInRun {
  return { ...facts, job_id: job.id, ...(job.executionId === null ? {} : { id: job.executionId }) };
}

type AdvanceDeps = Pick<RunsDeps, "dispatch" | "endings" | "evaluator" | "forUpdate">;

const FAILED_MATRIX = "another job of the matrix failed, and `fail_fast` ends them all";
const OF_MATRIX = { reason: "matrix_failed", message: FAILED_MATRIX, because: FAILED_MATRIX, force: false } as const;

interface UnstartedEnd {
  readonly status: "skipped" | "failed";
  readonly reason: "default_gate_rejected" | "condition_rejected" | "condition_errored" | "unknown";
  readonly message: string | null;
}

const SKIPPED: UnstartedEnd = { status: "skipped", reason: "default_gate_rejected", message: null };

/**
 * Starts, skips and finishes what follows from the end of a job, or, without one, what a run begins with. Works on the jobs
 * whose turn it is, however many the run has. The caller holds the run's lock, and gives away the place of a run that finished.
 */
export async function advanceRun(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  now: number,
): Promise<{ finished: boolean }> {
  const attemptId = facts.run_attempt_id;
  let ended = facts.job_id === undefined ? [] : [facts.job_id];
  for (;;) {
    for (let jobId = ended.pop(); jobId !== undefined; jobId = ended.pop())
      ended.push(...(await settleJob(tx, deps, facts, jobId, now)));
    const ready = await loadReady(tx, attemptId);
    if (ready.length === 0) break;
    ended = await decideAbout(tx, deps, facts, ready, now);
  }
  const finish = decideFinish(await summarise(tx, attemptId));
  if (finish === null) return { finished: false };
  await endRun(tx, deps, facts, { status: finish, now });
  return { finished: true };
}

/** What the end of a job means for others. Answers those that end with it. */
async function settleJob(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  jobId: string,
  now: number,
): Promise<string[]> {
  const ended = await settleNeeds(tx, facts.run_attempt_id, jobId);
  return [
    ...(ended.calls === null ? [] : await endWithCall(tx, deps, facts, ended, now)),
    ...(await settleMatrix(tx, deps, facts, ended, now)),
    ...(ended.within === null ? [] : await closeCall(tx, deps, facts, ended.within, now)),
  ];
}

/** The jobs of a call that ended before them: with it they are skipped, or cancelled. */
async function endWithCall(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  { key, status }: EndedJob,
  now: number,
): Promise<string[]> {
  const inner = await loadOpenWithin(tx, facts.run_attempt_id, key);
  if (status === "cancelled") await leaveLines(tx, deps, facts.run_attempt_id, inner);
  for (const job of inner)
    if (status === "cancelled") await cancelJob(tx, deps, facts, job, OF_MATRIX, now);
    else await endUnstartedJob(tx, inRun(facts, job), job, SKIPPED, now);
  return inner.map(({ id }) => id);
}

/** Those of the same matrix that end because a job of it has failed. */
async function settleMatrix(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  { node, status, matrix }: EndedJob,
  now: number,
): Promise<string[]> {
  if (matrix === null) return [];
  const { failFast, maxParallel } = JSON.parse(matrix) as MatrixModel;
  if (status === "failed" && failFast) {
    const others = await loadOpen(tx, facts.run_attempt_id, node);
    await leaveLines(tx, deps, facts.run_attempt_id, others);
    for (const job of others) await cancelJob(tx, deps, facts, job, OF_MATRIX, now);
    return others.map(({ id }) => id);
  }
  if (maxParallel !== null) await releaseHeld(tx, facts.run_attempt_id, node);
  return [];
}

/** Starts, skips or holds each of the jobs that are ready. Answers those that ended. */
async function decideAbout(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  ready: readonly JobFacts[],
  now: number,
): Promise<string[]> {
  const jobs = ready.map((job) => ({
    spoilt: job.spoiltNeeds > 0,
    hasCondition: job.hasCondition === 1,
    ...(job.matrix === null ? {} : { matrix: JSON.parse(job.matrix) as MatrixModel }),
  }));
  const verdicts = decideReady(jobs, await goingOf(tx, facts.run_attempt_id, jobs));
  const ended: string[] = [];
  const end = async (job: JobFacts, how: UnstartedEnd) => {
    await endUnstartedJob(tx, inRun(facts, job), job, how, now);
    ended.push(job.id);
  };
  for (const [index, job] of ready.entries()) {
    const verdict = verdicts[index];
    if (verdict === "hold") {
      await moveJob(tx, job.id, "held");
      continue;
    }
    if (verdict === "skip") {
      await end(job, SKIPPED);
      continue;
    }
    if (verdict === "ask") {
      const { verdict: answer, message } = await judgeJob(tx, deps, facts, job);
      if (answer !== "accepted") {
        await end(job, { status: "skipped", reason: `condition_${answer}`, message });
        continue;
      }
    }
    const fault = await (job.calls === null ? startJob : startCall)(tx, deps, facts, job, now);
    if (fault !== null) await end(job, { status: "failed", reason: "unknown", message: fault });
    // In a rerun all its jobs may have been carried over.
    else if (job.calls !== null) ended.push(...(await closeCall(tx, deps, facts, job.key, now)));
  }
  return ended;
}

/** How many jobs of the matrices with a bound are going. */
async function goingOf(tx: WriteTx, attemptId: string, jobs: readonly ReadyJob[]): Promise<Map<string, number>> {
  const going = new Map<string, number>();
  for (const { matrix } of jobs)
    if (matrix && matrix.maxParallel !== null && !going.has(matrix.job))
      going.set(matrix.job, await countGoing(tx, attemptId, matrix.job));
  return going;
}

async function judgeJob(tx: WriteTx, deps: AdvanceDeps, facts: AdvancedRun, job: JobFacts) {
  const model = JSON.parse(await loadModel(tx, job.id)) as JobModel;
  return judge(tx, deps, viewpointOf(inRun(facts, job), model), model.if ?? "");
}

/** Ends a job that has not started, with its execution and all steps of it. */
async function endUnstartedJob(
  tx: WriteTx,
  facts: JobInRun,
  { key, sequence }: JobFacts,
  { status, reason, message }: UnstartedEnd,
  now: number,
): Promise<void> {
  const execution = status === "skipped" ? "cancelled" : status;
  await finishJob(tx, facts.job_id, { status, reason, message }, now);
  record(tx, facts, "job.finished", { key, sequence: sequence ?? 0, status, reason }, now);
  if (facts.id === undefined) return;
  await finishExecution(tx, facts.id, { status: execution, reason, message, cause: null, timedOut: false }, now);
  for (const step of await loadSteps(tx, { id: facts.id, job_model: await loadModel(tx, facts.job_id) }))
    await endUnstartedStep(tx, step.id, "skipped", "default_gate_rejected", now);
}

/** Queues a job with its expressions filled, or has it listen. Answers why that could not be done, in words; null when it was. */
async function startJob(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  job: JobFacts,
  now: number,
): Promise<string | null> {
  const written = JSON.parse(await loadModel(tx, job.id)) as JobModel;
  if (job.executionId === null) {
    await moveJob(tx, job.id, "going");
    await activateListener(tx, deps, inRun(facts, job), written, now);
    return null;
  }
  const own = { ...inRun(facts, job), id: job.executionId };
  const labelled = await fillLabels(tx, deps, own, written);
  if (!labelled.ok) return labelled.message;
  const { model } = labelled;
  // Kept, so that a retry waits for the same runners.
  if (written.runnerTemplates) await labelJob(tx, job.id, model);
  if (model.executionName) {
    const name = await fillName(tx, deps, viewpointOf(own, model), model.executionName);
    if (name !== null) await nameExecution(tx, own.id, name);
  }
  const grouped = await fillGroup(tx, deps, own, model);
  if (!grouped.ok) return `the concurrency group ${grouped.message}`;
  await moveJob(tx, job.id, "going");
  if (model.concurrency && grouped.name !== null) {
    await groupJob(tx, job.id, grouped.name);
    const group = { name: grouped.name, onBusy: model.concurrency.onBusy };
    if ((await arrive(tx, deps, group, own, now)) === "waits") {
      record(tx, own, "job.group_waiting", { key: job.key, sequence: 1, group: grouped.name }, now);
      return null;
    }
  }
  await queueExecution(tx, deps, { ...own, job_key: job.key, sequence: 1 }, model, now);
  return null;
}

/** The name of the job's concurrency group; null without one. */
async function fillGroup(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: Parameters<typeof viewpointOf>[0],
  model: JobModel,
): Promise<{ ok: true; name: string | null } | { ok: false; message: string }> {
  if (!model.concurrency) return { ok: true, name: null };
  const filled = await fill(tx, deps, viewpointOf(facts, model), { group: model.concurrency.group });
  if (!filled.ok) return { ok: false, message: `has no value: \`\${{ ${filled.source} }}\`: ${filled.message}` };
  return readGroupName(literalTextOf(filled.templates["group"] ?? []));
}

/** Starts a call with its inputs filled. Answers why that could not be done, in words; null when it was. */
async function startCall(
  tx: WriteTx,
  deps: AdvanceDeps,
  facts: AdvancedRun,
  job: JobFacts,
  now: number,
): Promise<string | null> {
  const own = inRun(facts, job);
  const model = JSON.parse(await loadModel(tx, job.id)) as JobModel;
  const filled = await fillInputs(tx, deps, viewpointOf(own, model), model.call ?? { path: "", with: {} });
  if (!filled.ok) return filled.message;
  await moveJob(tx, job.id, "going");
  await openCall(tx, own, job.key, filled.inputs, now);
  record(tx, own, "job.called", { key: job.key, workflow: job.calls ?? "" }, now);
  return null;
}
