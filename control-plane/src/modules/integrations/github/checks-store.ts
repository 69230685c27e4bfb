import type { JobStatus } from "@shipfox/shared/api/runs";
import type { CheckRunRow } from "../../../store/schema.ts";
import type { Tx, WriteTx } from "../../../store/store.ts";
import { checkedOutCommit } from "../../runs/public.ts";
import { GITHUB_PROVIDER } from "../model.ts";
import type { CheckedJob } from "./check-run.ts";

/** Run events that one look at a workspace takes. */
const EVENTS_BATCH = 500;
const COMMIT_PATTERN = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export async function listFollowedWorkspaces(tx: Tx): Promise<string[]> {
  return (await tx.all<{ workspace_id: string }>("select workspace_id from check_cursors")).map(
    (row) => row.workspace_id,
  );
}

const NEW_EVENTS = `select e.id, e.type, e.run_id, e.job_id, e.step_id from run_events e
  join check_cursors c on c.workspace_id = e.workspace_id and e.id > c.last_event
  where e.workspace_id = ? order by e.id limit ${EVENTS_BATCH}`;

/** What is about one job, and what is about all jobs of its run: their commit may be known now, or they were cancelled. */
const OF_A_JOB = new Set(["job.queued", "job.started", "job.listening", "job.called", "job.finished"]);
const OF_A_RUN = new Set(["step.finished", "run.finished"]);

export function concernsChecks(type: string): boolean {
  return OF_A_JOB.has(type) || OF_A_RUN.has(type);
}

interface EventFacts {
  readonly id: number;
  readonly type: string;
  readonly run_id: string | null;
  readonly job_id: string | null;
  readonly step_id: string | null;
}

/** Moves a workspace's cursor over a batch of run events and makes the check runs due that they concern. False at the end. */
export async function collectChecks(tx: WriteTx, workspaceId: string, now: number): Promise<boolean> {
  const events = await tx.all<EventFacts>(NEW_EVENTS, [workspaceId]);
  const last = events.at(-1);
  if (!last) return false;
  const jobs = new Set<string>();
  const runs = new Set<string>();
  for (const event of events) {
    if (OF_A_JOB.has(event.type) && event.job_id) jobs.add(event.job_id);
    if (!OF_A_RUN.has(event.type) || event.run_id === null || runs.has(event.run_id)) continue;
    if (event.step_id === null || (await checksOut(tx, event.step_id))) runs.add(event.run_id);
  }
  for (const runId of runs) for (const jobId of await currentJobs(tx, runId)) jobs.add(jobId);
  for (const jobId of jobs) await makeDue(tx, jobId, now);
  await tx.run("update check_cursors set last_event = ? where workspace_id = ?", [last.id, workspaceId]);
  return events.length === EVENTS_BATCH;
}

/** A step with which the commit may be known. */
async function checksOut(tx: Tx, stepId: string): Promise<boolean> {
  const row = await tx.get<{ type: string }>("select type from steps where id = ?", [stepId]);
  return row?.type === "setup" || row?.type === "checkout";
}

async function currentJobs(tx: Tx, runId: string): Promise<string[]> {
  const sql = `select j.id from jobs j join run_attempts a on a.id = j.run_attempt_id join runs r on r.id = j.run_id
    where j.run_id = ? and a.attempt = r.current_attempt`;
  return (await tx.all<{ id: string }>(sql, [runId])).map((row) => row.id);
}

/** Nothing for a job whose repository is not on GitHub. */
const MAKE_DUE = `insert into check_runs (job_id, connection_id, external_repository_id, check_run_id, sent_state, attempts, due_at, last_error)
  select j.id, c.id, p.external_repository_id, null, null, 0, ?, null
  from jobs j join projects p on p.id = j.project_id join connections c on c.id = p.connection_id
  where j.id = ? and c.provider = '${GITHUB_PROVIDER}'
  on conflict (job_id) do update set due_at = excluded.due_at, attempts = 0`;

async function makeDue(tx: WriteTx, jobId: string, now: number): Promise<void> {
  await tx.run(MAKE_DUE, [now, jobId]);
}

export async function listDueChecks(tx: Tx, now: number, limit: number): Promise<string[]> {
  const sql = "select job_id from check_runs where due_at <= ? order by due_at limit ?";
  return (await tx.all<{ job_id: string }>(sql, [now, limit])).map((row) => row.job_id);
}

export async function nextDueCheck(tx: Tx): Promise<number | null> {
  const sql = "select min(due_at) as due_at from check_runs where due_at is not null";
  return (await tx.get<{ due_at: number | null }>(sql))?.due_at ?? null;
}

/** What is to be sent. `commit` null: no job of the run has checked anything out yet. */
export interface Check {
  readonly row: CheckRunRow;
  readonly installationId: number;
  readonly isActive: boolean;
  readonly commit: string | null;
  readonly job: CheckedJob;
}

interface CheckFacts extends CheckRunRow {
  external_account_id: string;
  lifecycle_status: string;
  run_attempt_id: string;
  run_id: string;
  run_number: number;
  workflow_name: string;
  name: string | null;
  key: string;
  status: JobStatus;
  status_reason: string | null;
  started_at: number | null;
  finished_at: number | null;
}

const CHECK = `select k.*, c.external_account_id, c.lifecycle_status, j.run_attempt_id, j.run_id, r.number as run_number,
    r.workflow_name, j.name, j.key, j.status, j.status_reason, e.started_at, e.finished_at
  from check_runs k join connections c on c.id = k.connection_id join jobs j on j.id = k.job_id
    join runs r on r.id = j.run_id left join job_executions e on e.job_id = j.id
  where k.job_id = ? order by e.sequence desc limit 1`;

/** Takes a due check run for `claimMs`, after which it is due again unless it was settled. Null when it is not due any more. */
export async function claimCheck(tx: WriteTx, jobId: string, now: number, claimMs: number): Promise<Check | null> {
  const sql = "update check_runs set due_at = ?, attempts = attempts + 1 where job_id = ? and due_at <= ?";
  if ((await tx.run(sql, [now + claimMs, jobId, now])) === 0) return null;
  const found = await tx.get<CheckFacts>(CHECK, [jobId]);
  if (!found) return null;
  return {
    row: found,
    installationId: Number(found.external_account_id),
    isActive: found.lifecycle_status === "active",
    commit: await commitOf(tx, found.run_attempt_id),
    job: {
      jobId,
      runId: found.run_id,
      runNumber: found.run_number,
      workflow: found.workflow_name,
      name: found.name ?? found.key,
      status: found.status,
      reason: found.status_reason,
      startedAt: found.started_at,
      finishedAt: found.finished_at,
    },
  };
}

/** A runner reported it, and it becomes part of an address. */
async function commitOf(tx: Tx, runAttemptId: string): Promise<string | null> {
  const commit = await checkedOutCommit(tx, runAttemptId);
  return commit !== null && COMMIT_PATTERN.test(commit) ? commit : null;
}

export interface CheckOutcome {
  readonly checkRunId: number | null;
  readonly sentState: string | null;
  readonly error: string | null;
  /** When it is tried again; null for not by itself. */
  readonly dueAt: number | null;
}

/** What became of a claimed check run. One that was made due meanwhile stays due. */
export async function settleCheck(tx: WriteTx, { row }: Check, outcome: CheckOutcome): Promise<void> {
  const { checkRunId, sentState, error, dueAt } = outcome;
  const sql = `update check_runs set check_run_id = ?, sent_state = ?, last_error = ?,
      due_at = case when due_at = ? then ? else due_at end where job_id = ?`;
  await tx.run(sql, [checkRunId, sentState, error, row.due_at, dueAt, row.job_id]);
}
