import type { ExecutionStatus, JobStatus, RunStatus, StepStatus, StepType } from "@shipfox/shared/api/runs";
import type { InfrastructureCause } from "@shipfox/shared/failure";
import type { JobExecutionRow, JobRow, ListenerRow, RunRow, StepRow } from "../../store/schema.ts";
import type { SqlValue, Tx, WriteTx } from "../../store/store.ts";
import type { AuthoredStepModel, JobModel } from "../workflow/public.ts";
import { SHOWN_EXECUTIONS } from "./listener-model.ts";
import type { JobStage } from "./model.ts";

/** Rows an insert carries at most: SQLite takes 32,766 parameters, and a bounded text keeps statements few. */
const MAX_ROWS_PER_INSERT = 50;

/** Inserts rows given in the order of `columns`. */
export async function insertRows(
  tx: WriteTx,
  table: string,
  columns: string,
  rows: readonly (readonly SqlValue[])[],
): Promise<void> {
  for (let start = 0; start < rows.length; start += MAX_ROWS_PER_INSERT) {
    const batch = rows.slice(start, start + MAX_ROWS_PER_INSERT);
    const one = `(${new Array(batch[0]?.length ?? 0).fill("?").join(",")})`;
    await tx.run(`insert into ${table} (${columns}) values ${batch.map(() => one).join(",")}`, batch.flat());
  }
}

// --- loading for a decision ----------------------------------------------------------------------------------------

/** The execution with what its job and run contribute to every event and decision. */
export interface ExecutionFacts {
  readonly id: string;
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly job_id: string;
  readonly sequence: number;
  readonly status: ExecutionStatus;
  readonly due_at: number | null;
  readonly queued_at: number | null;
  readonly job_key: string;
  readonly job_status: JobStatus;
  /** What the execution does. */
  readonly job_model: string;
  readonly infrastructure_retries: number;
  readonly retries: number;
  readonly run_status: RunStatus;
  readonly run_number: number;
  readonly run_attempt: number;
  readonly workflow_name: string;
  readonly project_name: string;
}

const LOAD_EXECUTION = `select e.id, e.workspace_id, e.project_id, e.run_id, e.run_attempt_id, e.job_id, e.sequence, e.status, e.due_at, e.queued_at,
    j.key as job_key, j.status as job_status, coalesce(e.model, j.model) as job_model, j.infrastructure_retries, j.retries, r.status as run_status, r.number as run_number,
    r.current_attempt as run_attempt, r.workflow_name, p.name as project_name
  from job_executions e join jobs j on j.id = e.job_id join runs r on r.id = e.run_id join projects p on p.id = e.project_id where e.id = ?`;

/**
 * Locks in the order run, execution. A step event needs the execution alone; everything that ends, starts or queues a job
 * decides about the run as well, so the run's row is the lock. On SQLite the writer is the lock.
 */
export async function lockExecution(
  tx: WriteTx,
  forUpdate: string,
  executionId: string,
): Promise<ExecutionFacts | undefined> {
  if (forUpdate !== "") {
    await tx.get(`select r.id from runs r where r.id = (select run_id from job_executions where id = ?)${forUpdate}`, [
      executionId,
    ]);
    await tx.get(`select id from job_executions where id = ?${forUpdate}`, [executionId]);
  }
  return tx.get<ExecutionFacts>(LOAD_EXECUTION, [executionId]);
}

export interface StepFacts {
  readonly id: string;
  readonly job_execution_id: string;
  readonly key: string | null;
  readonly name: string;
  readonly position: number;
  readonly type: StepType;
  readonly status: StepStatus;
  readonly status_reason: string | null;
  readonly config: string;
  readonly source_location: string | null;
  readonly error: string | null;
  readonly currentAttempt: number;
  readonly created_at: number;
  readonly updated_at: number;
  /** What its workflow says of it beside what it does; null for the set-up step. */
  readonly rules: AuthoredStepModel | null;
  readonly hasCondition: boolean;
  readonly gate?: "judges" | "restarts";
}

const LOAD_STEPS = `select id, job_execution_id, key, name, position, type, status, status_reason, config, source_location, error,
    current_attempt as "currentAttempt", created_at, updated_at from steps where job_execution_id = ? order by position`;

type LoadedStep = Omit<StepFacts, "rules" | "hasCondition" | "gate">;

/** The steps of an execution in order. */
export async function loadSteps(tx: Tx, execution: Pick<ExecutionFacts, "id" | "job_model">): Promise<StepFacts[]> {
  const { steps } = JSON.parse(execution.job_model) as JobModel;
  const rows = await tx.all<LoadedStep>(LOAD_STEPS, [execution.id]);
  return rows.map((row) => {
    const rules = steps[row.position - 1] ?? null;
    const gate = rules?.gate && (rules.gate.restartFrom === null ? "judges" : "restarts");
    return { ...row, rules, hasCondition: rules?.if !== undefined, ...(gate ? { gate } : {}) };
  });
}

export interface JobFacts {
  readonly id: string;
  readonly key: string;
  /** JSON of a `MatrixModel`. */
  readonly matrix: string | null;
  /** The path of the workflow that it calls. */
  readonly calls: string | null;
  /** Whether it has a condition of its own: 0 or 1. */
  readonly hasCondition: number;
  /** Jobs it needs that ended without success. */
  readonly spoiltNeeds: number;
  /** Its newest execution; null for a listening job that has none yet. */
  readonly executionId: string | null;
  readonly sequence: number | null;
  /** Null for a job that does not listen. */
  readonly listenerStatus: ListenerRow["status"] | null;
}

const JOBS = `select j.id, j.key, j.matrix, j.calls, j.has_condition as "hasCondition", j.spoilt_needs as "spoiltNeeds", e.id as "executionId",
    e.sequence, l.status as "listenerStatus"
  from jobs j left join job_executions e on e.job_id = j.id and e.sequence = (select max(sequence) from job_executions where job_id = j.id)
    left join listeners l on l.job_id = j.id
  where j.run_attempt_id = ? and j.stage`;
const READY_JOBS = `${JOBS} = 'ready' order by j.position`;
const OPEN_STAGES = "in ('blocked', 'ready', 'held', 'going')";
const OPEN_JOBS = `${JOBS} ${OPEN_STAGES} order by j.position`;
const OPEN_OF_NODE = `${JOBS} ${OPEN_STAGES} and j.node = ? order by j.position`;
const OPEN_OF_CALL = `${JOBS} ${OPEN_STAGES} and j.within = ? order by j.position`;

/** The jobs of a run attempt that are to be decided about. */
export function loadReady(tx: Tx, runAttemptId: string): Promise<JobFacts[]> {
  return tx.all<JobFacts>(READY_JOBS, [runAttemptId]);
}

/** The jobs of a run attempt that have not ended; with `node`, of one matrix. */
export function loadOpen(tx: Tx, runAttemptId: string, node?: string): Promise<JobFacts[]> {
  return node === undefined
    ? tx.all<JobFacts>(OPEN_JOBS, [runAttemptId])
    : tx.all<JobFacts>(OPEN_OF_NODE, [runAttemptId, node]);
}

/** The jobs of a call that have not ended. */
export function loadOpenWithin(tx: Tx, runAttemptId: string, call: string): Promise<JobFacts[]> {
  return tx.all<JobFacts>(OPEN_OF_CALL, [runAttemptId, call]);
}

const OPEN_JOB = `select j.id, j.key, e.id as "executionId", e.sequence, j.calls, l.status as "listenerStatus"
  from jobs j left join job_executions e on e.job_id = j.id left join listeners l on l.job_id = j.id
  where j.id = ? and j.stage ${OPEN_STAGES} order by e.sequence desc limit 1`;

/** A job, unless it has ended. */
export function findOpenJob(
  tx: Tx,
  jobId: string,
): Promise<Pick<JobFacts, "id" | "key" | "executionId" | "sequence" | "listenerStatus" | "calls"> | undefined> {
  return tx.get(OPEN_JOB, [jobId]);
}

const GOING = "select count(*) as going from jobs where run_attempt_id = ? and stage = 'going' and node = ?";

/** How many jobs of a matrix are going. */
export async function countGoing(tx: Tx, runAttemptId: string, node: string): Promise<number> {
  return (await tx.get<{ going: number }>(GOING, [runAttemptId, node]))?.going ?? 0;
}

const SOME_OPEN = `select 1 as found from jobs where run_attempt_id = ? and stage ${OPEN_STAGES} limit 1`;
/** One that failed comes before one that was cancelled. */
const WORST = `select status from jobs where run_attempt_id = ? and stage = 'over' and status in ('failed', 'cancelled')
  order by status desc limit 1`;

/** Whether some job has not ended, and, once all have, whether some failed or were cancelled. */
export async function summarise(
  tx: Tx,
  runAttemptId: string,
): Promise<{ open: boolean; failed: boolean; cancelled: boolean }> {
  if ((await tx.get(SOME_OPEN, [runAttemptId])) !== undefined) return { open: true, failed: false, cancelled: false };
  const worst = (await tx.get<{ status: JobStatus }>(WORST, [runAttemptId]))?.status;
  return { open: false, failed: worst === "failed", cancelled: worst === "cancelled" };
}

export interface EndedJob {
  readonly key: string;
  readonly node: string;
  readonly status: JobStatus;
  readonly matrix: string | null;
  readonly within: string | null;
  readonly calls: string | null;
}

const ENDED_JOB = "select key, node, status, matrix, within, calls from jobs where id = ?";
const SETTLE_NEEDS = `update jobs set open_needs = open_needs - 1, spoilt_needs = spoilt_needs + ?,
    stage = case when open_needs = 1 and stage = 'blocked' then 'ready' else stage end
  where id in (select job_id from job_needs where run_attempt_id = ? and node = ?)`;

/** Tells those that need it that a job has ended. */
export async function settleNeeds(tx: WriteTx, runAttemptId: string, jobId: string): Promise<EndedJob> {
  const ended = await tx.get<EndedJob>(ENDED_JOB, [jobId]);
  if (!ended) throw new Error(`the job ${jobId} is gone`);
  await tx.run(SETTLE_NEEDS, [ended.status === "succeeded" ? 0 : 1, runAttemptId, ended.node]);
  return ended;
}

const RELEASE_HELD = `update jobs set stage = 'ready' where id =
  (select id from jobs where run_attempt_id = ? and stage = 'held' and node = ? order by position limit 1)`;

/** The next job of a matrix that waits for a place is decided about. */
export async function releaseHeld(tx: WriteTx, runAttemptId: string, node: string): Promise<void> {
  await tx.run(RELEASE_HELD, [runAttemptId, node]);
}

const MOVE_JOB = "update jobs set stage = ? where id = ?";

export async function moveJob(tx: WriteTx, jobId: string, stage: JobStage): Promise<void> {
  await tx.run(MOVE_JOB, [stage, jobId]);
}

const LOAD_MODEL = "select model from jobs where id = ?";

/** All that a job does: too much to load it for jobs of which nothing is to be done. */
export async function loadModel(tx: Tx, jobId: string): Promise<string> {
  const row = await tx.get<{ model: string }>(LOAD_MODEL, [jobId]);
  if (!row) throw new Error(`the job ${jobId} is gone`);
  return row.model;
}

// --- changes -------------------------------------------------------------------------------------------------------

const START_STEP = "update steps set status = 'running', updated_at = ? where job_execution_id = ? and position = ?";
const INSERT_ATTEMPT = `insert into step_attempts (id, job_execution_id, step_id, attempt, execution_order, status, started_at)
  values (?, ?, ?, ?, (select count(*) + 1 from step_attempts where job_execution_id = ?), 'running', ?)`;

export async function startStep(tx: WriteTx, attemptId: string, step: StepFacts, now: number): Promise<void> {
  await tx.run(START_STEP, [now, step.job_execution_id, step.position]);
  await tx.run(INSERT_ATTEMPT, [
    attemptId,
    step.job_execution_id,
    step.id,
    step.currentAttempt,
    step.job_execution_id,
    now,
  ]);
}

export interface StepResult {
  readonly status: "succeeded" | "failed" | "cancelled";
  readonly exitCode: number | null;
  readonly error: string | null;
  readonly output: string | null;
  /** In their declared types; null when `output` is all there is. */
  readonly outputs?: string | null;
  readonly gateResult?: string | null;
  readonly restartFeedback?: string | null;
  readonly logOutcome: "drained" | "abandoned";
}

const FINISH_STEP =
  "update steps set status = ?, exit_code = ?, error = ?, output = ?, updated_at = ? where job_execution_id = ? and position = ?";
const FINISH_ATTEMPT =
  "update step_attempts set status = ?, exit_code = ?, error = ?, output = ?, outputs = ?, gate_result = ?, restart_feedback = ?, log_outcome = ?, finished_at = ? where job_execution_id = ? and step_id = ? and attempt = ?";

export async function finishStep(
  tx: WriteTx,
  step: Pick<StepFacts, "id" | "job_execution_id" | "position" | "currentAttempt">,
  result: StepResult,
  now: number,
): Promise<void> {
  const { status, exitCode, error, output, logOutcome } = result;
  await tx.run(FINISH_STEP, [status, exitCode, error, output, now, step.job_execution_id, step.position]);
  await tx.run(FINISH_ATTEMPT, [
    status,
    exitCode,
    error,
    output,
    result.outputs ?? null,
    result.gateResult ?? null,
    result.restartFeedback ?? null,
    logOutcome,
    now,
    step.job_execution_id,
    step.id,
    step.currentAttempt,
  ]);
}

const CONFIGURE_STEP =
  "update steps set name = ?, config = ?, updated_at = ? where job_execution_id = ? and position = ?";

/** What a step does, once its expressions have been filled. */
export async function configureStep(
  tx: WriteTx,
  step: Pick<StepFacts, "job_execution_id" | "position">,
  { name, config }: { name: string; config: string },
  now: number,
): Promise<void> {
  await tx.run(CONFIGURE_STEP, [name, config, now, step.job_execution_id, step.position]);
}

const REWIND_STEPS = `update steps set status = 'pending', status_reason = null, exit_code = null, error = null, output = null,
    current_attempt = current_attempt + 1, updated_at = ? where job_execution_id = ? and position >= ?`;

/** Steps from `position` on run again, each as its next attempt. */
export async function rewindSteps(tx: WriteTx, executionId: string, position: number, now: number): Promise<void> {
  await tx.run(REWIND_STEPS, [now, executionId, position]);
}

const RESTARTS =
  "select count(*) as restarts from step_attempts where job_execution_id = ? and step_id = ? and restart_feedback is not null";

/** How often the gate of a step has sent its job back. */
export async function countRestarts(tx: Tx, executionId: string, stepId: string): Promise<number> {
  return (await tx.get<{ restarts: number }>(RESTARTS, [executionId, stepId]))?.restarts ?? 0;
}

const END_STEP = "update steps set status = ?, status_reason = ?, updated_at = ? where id = ?";

export async function endUnstartedStep(
  tx: WriteTx,
  stepId: string,
  status: "skipped" | "cancelled",
  reason: string | null,
  now: number,
): Promise<void> {
  await tx.run(END_STEP, [status, reason, now, stepId]);
}

const CLAIM_EXECUTION =
  "update job_executions set status = 'running', runner_id = ?, started_at = ?, due_at = ?, updated_at = ? where id = ? and status = 'pending'";
const START_JOB = "update jobs set status = 'running', updated_at = ? where id = ? and status = 'pending'";
const START_RUN =
  "update runs set status = 'running', started_at = ?, updated_at = ? where id = ? and status = 'pending'";

/** Marks execution and job, and a run that is still pending, as running. True when the run has just started. */
export async function startExecution(
  tx: WriteTx,
  facts: ExecutionFacts,
  runnerId: string,
  dueAt: number | null,
  now: number,
): Promise<boolean> {
  await tx.run(CLAIM_EXECUTION, [runnerId, now, dueAt, now, facts.id]);
  if (facts.run_status === "pending") return beginJob(tx, { jobId: facts.job_id, runId: facts.run_id }, now);
  await tx.run(START_JOB, [now, facts.job_id]);
  return false;
}

/** Marks a job, and a run that is still pending, as running. True when the run has just started. */
export async function beginJob(
  tx: WriteTx,
  { jobId, runId }: { jobId: string; runId: string },
  now: number,
): Promise<boolean> {
  await tx.run(START_JOB, [now, jobId]);
  return (await tx.run(START_RUN, [now, now, runId])) === 1;
}

const FINISH_EXECUTION = `update job_executions set status = ?, status_reason = ?, status_reason_message = ?, failure_cause = ?, outputs = ?, finished_at = ?, timed_out_at = ?, due_at = null, updated_at = ?
  where id = ?`;

export async function finishExecution(
  tx: WriteTx,
  executionId: string,
  end: {
    status: "succeeded" | "failed" | "cancelled";
    reason: string | null;
    message: string | null;
    cause: InfrastructureCause | null;
    outputs?: string | null;
    timedOut: boolean;
  },
  now: number,
): Promise<void> {
  await tx.run(FINISH_EXECUTION, [
    end.status,
    end.reason,
    end.message,
    end.cause,
    end.outputs ?? null,
    now,
    end.timedOut ? now : null,
    now,
    executionId,
  ]);
}

const FINISH_JOB =
  "update jobs set status = ?, status_reason = ?, status_reason_message = ?, outputs = ?, stage = 'over', updated_at = ? where id = ?";

export async function finishJob(
  tx: WriteTx,
  jobId: string,
  end: { status: JobStatus; reason: string | null; message?: string | null; outputs?: string | null },
  now: number,
): Promise<void> {
  await tx.run(FINISH_JOB, [end.status, end.reason, end.message ?? null, end.outputs ?? null, now, jobId]);
}

const RETRY_JOB = "update jobs set status = ?, infrastructure_retries = ?, retries = ?, updated_at = ? where id = ?";

export async function retryJob(
  tx: WriteTx,
  jobId: string,
  { status, ...used }: { status: "pending" | "running"; infrastructureRetries: number; retries: number },
  now: number,
): Promise<void> {
  await tx.run(RETRY_JOB, [status, used.infrastructureRetries, used.retries, now, jobId]);
}

const NAME_EXECUTION = "update job_executions set name = ? where id = ?";

export async function nameExecution(tx: WriteTx, executionId: string, name: string): Promise<void> {
  await tx.run(NAME_EXECUTION, [name, executionId]);
}

const LABEL_JOB = "update jobs set labels = ?, model = ? where id = ?";

/** The labels that a job has turned out to have. */
export async function labelJob(tx: WriteTx, jobId: string, model: JobModel): Promise<void> {
  await tx.run(LABEL_JOB, [JSON.stringify(model.runner), JSON.stringify(model), jobId]);
}

const GROUP_JOB = "update jobs set concurrency_group = ? where id = ?";

/** The concurrency group that a job has turned out to be of. */
export async function groupJob(tx: WriteTx, jobId: string, group: string): Promise<void> {
  await tx.run(GROUP_JOB, [group, jobId]);
}

const QUEUE_EXECUTION = "update job_executions set queued_at = ?, due_at = ?, updated_at = ? where id = ?";

export async function markQueued(tx: WriteTx, executionId: string, dueAt: number | null, now: number): Promise<void> {
  await tx.run(QUEUE_EXECUTION, [now, dueAt, now, executionId]);
}

const CLEAR_DUE = "update job_executions set due_at = null, updated_at = ? where id = ?";

export async function clearDue(tx: WriteTx, executionId: string, now: number): Promise<void> {
  await tx.run(CLEAR_DUE, [now, executionId]);
}

const FINISH_RUN = "update runs set status = ?, finished_at = ?, place_wanted_at = null, updated_at = ? where id = ?";

/** The run's row is also the state of its current attempt; an attempt's own row keeps it once a newer one has begun. */
export async function finishRun(tx: WriteTx, runId: string, status: RunStatus, now: number): Promise<void> {
  await tx.run(FINISH_RUN, [status, now, now, runId]);
}

const KEEP_ATTEMPT =
  "update run_attempts set status = ?, started_at = ?, finished_at = ? where run_id = ? and attempt = ?";
const BEGIN_ATTEMPT =
  "update runs set status = 'pending', current_attempt = ?, started_at = null, finished_at = null, place_wanted_at = ?, updated_at = ? where id = ?";

/** Makes the run's row that of its next attempt. `asks`: it waits for a place in its workspace. */
export async function beginAttempt(
  tx: WriteTx,
  run: RunRow,
  { attempt, asks, now }: { attempt: number; asks: boolean; now: number },
): Promise<void> {
  await tx.run(KEEP_ATTEMPT, [run.status, run.started_at, run.finished_at, run.id, run.current_attempt]);
  await tx.run(BEGIN_ATTEMPT, [attempt, asks ? now : null, now, run.id]);
}

const DUE_EXECUTIONS =
  "select id, due_at from job_executions where due_at is not null and due_at <= ? order by due_at limit ?";
const NEXT_DUE = "select min(due_at) as due_at from job_executions where due_at is not null";

export function dueExecutions(tx: Tx, now: number, limit: number): Promise<{ id: string; due_at: number }[]> {
  return tx.all(DUE_EXECUTIONS, [now, limit]);
}

export async function nextDue(tx: Tx): Promise<number | null> {
  return (await tx.get<{ due_at: number | null }>(NEXT_DUE))?.due_at ?? null;
}

// --- reading -------------------------------------------------------------------------------------------------------

export async function findRun(tx: Tx, runId: string): Promise<RunRow | undefined> {
  return tx.get<RunRow>("select * from runs where id = ? and removed_at is null", [runId]);
}

export async function lockRun(tx: WriteTx, forUpdate: string, runId: string): Promise<RunRow | undefined> {
  return tx.get<RunRow>(`select * from runs where id = ? and removed_at is null${forUpdate}`, [runId]);
}

export type ExecutionWithRunner = Omit<JobExecutionRow, "model"> & { runner_name: string | null };

const RECENT = `and e.sequence > (select max(n.sequence) - ${SHOWN_EXECUTIONS} from job_executions n where n.job_id = e.job_id)`;
/** All but the model, which may be large. */
const SHOWN_FIELDS = `e.id, e.workspace_id, e.project_id, e.run_id, e.run_attempt_id, e.job_id, e.sequence, e.retry_of, e.name, e.status,
    e.status_reason, e.status_reason_message, e.failure_cause, e.outputs, e.runner_id, e.queued_at, e.started_at, e.finished_at,
    e.timed_out_at, e.due_at, e.firing, e.labels, e.created_at, e.updated_at`;
const LISTENERS = `select l.job_id, l.status, l.resolution_reason, l.listening_since, l.expires_at from jobs j
  join listeners l on l.job_id = coalesce(j.carried_from, j.id) where j.run_attempt_id = ?`;

export type ShownListener = Pick<
  ListenerRow,
  "job_id" | "status" | "resolution_reason" | "listening_since" | "expires_at"
>;

/** Everything below a run attempt, in the order it is shown; of listening jobs the newest executions. */
export async function loadTree(tx: Tx, runAttemptId: string) {
  const listeners = await tx.all<ShownListener>(LISTENERS, [runAttemptId]);
  const recent = listeners.length === 0 ? "" : RECENT;
  const jobs = await tx.all<JobRow>("select * from jobs where run_attempt_id = ? order by position", [runAttemptId]);
  const executions = await tx.all<ExecutionWithRunner>(
    `select ${SHOWN_FIELDS}, n.name as runner_name from job_executions e left join runners n on n.id = e.runner_id
     where e.job_id in (select coalesce(carried_from, id) from jobs where run_attempt_id = ?) ${recent} order by e.job_id, e.sequence`,
    [runAttemptId],
  );
  const steps = await tx.all<StepRow>(
    `select s.* from jobs j join job_executions e on e.job_id = coalesce(j.carried_from, j.id) join steps s on s.job_execution_id = e.id
     where j.run_attempt_id = ? ${recent} order by s.job_execution_id, s.position`,
    [runAttemptId],
  );
  const attempts = await tx.all<StepAttemptView>(
    `select a.id, a.step_id, a.attempt, a.execution_order, a.status, a.exit_code, a.output, a.outputs, a.error, a.gate_result, a.restart_feedback, a.started_at, a.finished_at
     from jobs j join job_executions e on e.job_id = coalesce(j.carried_from, j.id) join step_attempts a on a.job_execution_id = e.id where j.run_attempt_id = ? ${recent} order by a.job_execution_id, a.execution_order`,
    [runAttemptId],
  );
  return { jobs, executions, steps, attempts, listeners };
}

export interface StepAttemptView {
  readonly id: string;
  readonly step_id: string;
  readonly attempt: number;
  readonly execution_order: number;
  readonly status: "running" | "succeeded" | "failed" | "cancelled";
  readonly exit_code: number | null;
  readonly output: string | null;
  readonly outputs: string | null;
  readonly error: string | null;
  readonly gate_result: string | null;
  readonly restart_feedback: string | null;
  readonly started_at: number;
  readonly finished_at: number | null;
}
