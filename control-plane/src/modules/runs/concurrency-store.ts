import type { Tx, WriteTx } from "../../store/store.ts";

/** A row of a group's line. */
export interface Member {
  /** Its place in the order of arrival. */
  readonly number: number;
  readonly group_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly job_id: string;
  /** 1: it has the place. */
  readonly holds: number;
  /** The run whose arrival ends it. */
  readonly replaced_by: string | null;
  /** When the due loop is to end it. */
  readonly due_at: number | null;
  readonly created_at: number;
}

/** Makes the group, or takes the one that is there, and in both cases locks it. */
const TAKE_GROUP = `insert into concurrency_groups (id, project_id, name) values (?, ?, ?)
  on conflict (project_id, name) do update set name = excluded.name returning id`;
const LOCK_GROUP = "select id from concurrency_groups where id = ?";
const DROP_EMPTY = `delete from concurrency_groups where id = ?
  and not exists (select 1 from concurrency_members where group_id = concurrency_groups.id)`;
const INSERT = `insert into concurrency_members (group_id, run_id, run_attempt_id, job_id, holds, created_at)
  values (?, ?, ?, ?, ?, ?)`;
const REPLACE = `update concurrency_members set replaced_by = ?, due_at = ?
  where group_id = ? and run_id <> ? and replaced_by is null`;
const HOLDER = "select * from concurrency_members where group_id = ? and holds = 1";
const FIRST_WAITING = `select * from concurrency_members where group_id = ? and holds = 0 and replaced_by is null
  order by number limit 1`;
const GIVE = "update concurrency_members set holds = 1 where number = ?";
const REMOVE = "delete from concurrency_members where number = ?";
const BY_NUMBER = "select * from concurrency_members where number = ?";
const OF_JOB = "select * from concurrency_members where job_id = ?";
const WAITING_JOBS = `select * from concurrency_members where run_attempt_id = ? and holds = 0 order by group_id, number`;
const OF_EXECUTION = `select m.* from job_executions e join concurrency_members m on m.job_id = e.job_id where e.id = ?`;
const DUE =
  "select * from concurrency_members where due_at is not null and due_at <= ? order by due_at, number limit ?";
const NEXT_DUE = "select min(due_at) as due_at from concurrency_members where due_at is not null";
const CLEAR_DUE = "update concurrency_members set due_at = null where number = ?";

/** The id of the group, made when there is none. Nobody else changes its line until the transaction ends. */
export async function takeGroup(
  tx: WriteTx,
  group: { readonly newId: string; readonly projectId: string; readonly name: string },
): Promise<string> {
  const row = await tx.get<{ id: string }>(TAKE_GROUP, [group.newId, group.projectId, group.name]);
  return row?.id ?? group.newId;
}

export async function lockGroup(tx: WriteTx, forUpdate: string, groupId: string): Promise<void> {
  if (forUpdate !== "") await tx.get(`${LOCK_GROUP}${forUpdate}`, [groupId]);
}

export async function dropEmptyGroup(tx: WriteTx, groupId: string): Promise<void> {
  await tx.run(DROP_EMPTY, [groupId]);
}

export async function insertMember(
  tx: WriteTx,
  member: Pick<Member, "group_id" | "run_id" | "run_attempt_id" | "job_id" | "holds">,
  now: number,
): Promise<void> {
  const { group_id, run_id, run_attempt_id, job_id, holds } = member;
  await tx.run(INSERT, [group_id, run_id, run_attempt_id, job_id, holds, now]);
}

/** Marks all of other runs, so that the due loop ends them. Answers how many. */
export function markReplaced(tx: WriteTx, groupId: string, byRunId: string, now: number): Promise<number> {
  return tx.run(REPLACE, [byRunId, now, groupId, byRunId]);
}

export const findHolder = (tx: Tx, groupId: string) => tx.get<Member>(HOLDER, [groupId]);
export const firstWaiting = (tx: Tx, groupId: string) => tx.get<Member>(FIRST_WAITING, [groupId]);
export const findMember = (tx: Tx, number: number) => tx.get<Member>(BY_NUMBER, [number]);
export const memberOfJob = (tx: Tx, jobId: string) => tx.get<Member>(OF_JOB, [jobId]);
/** Jobs of a run attempt that wait, by their groups. */
export const waitingJobs = (tx: Tx, runAttemptId: string) => tx.all<Member>(WAITING_JOBS, [runAttemptId]);
export const memberOfExecution = (tx: Tx, executionId: string) => tx.get<Member>(OF_EXECUTION, [executionId]);
export const dueMembers = (tx: Tx, now: number, limit: number) => tx.all<Member>(DUE, [now, limit]);
export const nextDueMember = async (tx: Tx) => (await tx.get<{ due_at: number | null }>(NEXT_DUE))?.due_at ?? null;

export async function givePlace(tx: WriteTx, number: number): Promise<void> {
  await tx.run(GIVE, [number]);
}

export async function removeMember(tx: WriteTx, number: number): Promise<void> {
  await tx.run(REMOVE, [number]);
}

export async function clearDueMember(tx: WriteTx, number: number): Promise<void> {
  await tx.run(CLEAR_DUE, [number]);
}

interface JobInGroup {
  readonly id: string;
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly job_id: string;
  readonly job_key: string;
  readonly sequence: number;
  readonly job_status: string;
  readonly execution_status: string;
  readonly queued_at: number | null;
  readonly due_at: number | null;
}

const NEWEST_EXECUTION = `select e.id, e.workspace_id, e.project_id, e.run_id, e.job_id, j.key as job_key, e.sequence,
    j.status as job_status, e.status as execution_status, e.queued_at, e.due_at
  from jobs j join job_executions e on e.job_id = j.id where j.id = ? order by e.sequence desc limit 1`;

/** The newest execution of a job. */
export const newestExecution = (tx: Tx, jobId: string) => tx.get<JobInGroup>(NEWEST_EXECUTION, [jobId]);

/** Where one stands that waits. */
export interface PlaceInGroup {
  readonly since: number;
  readonly holder: {
    readonly run_id: string;
    readonly run_number: number;
    readonly workflow_name: string;
    readonly job_key: string;
  } | null;
  /** It has the place, and waits for the runner of its last try to stop. */
  readonly holdsItself: boolean;
}

const SHOWN_HOLDER = `select h.run_id, r.number as run_number, r.workflow_name, j.key as job_key
  from concurrency_members h join runs r on r.id = h.run_id join jobs j on j.id = h.job_id where h.group_id = ? and h.holds = 1`;

/** Since when a job waits in its line, and for whom. */
export async function placeOfJob(tx: Tx, jobId: string): Promise<PlaceInGroup | undefined> {
  const member = await memberOfJob(tx, jobId);
  if (!member) return undefined;
  const holder = (await tx.get<NonNullable<PlaceInGroup["holder"]>>(SHOWN_HOLDER, [member.group_id])) ?? null;
  return { since: member.created_at, holder, holdsItself: member.holds === 1 };
}
