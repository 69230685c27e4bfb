import type { Tx, WriteTx } from "../../store/store.ts";

const LIMIT = "select max_concurrent_runs from run_limits where workspace_id = ?";
const LOOK = `select (select max_concurrent_runs from run_limits where workspace_id = ?) as max_concurrent_runs,
  (select 1 from runs where workspace_id = ? and place_wanted_at is not null limit 1) as waits`;
const MAKE_LIMIT = `insert into run_limits (workspace_id, max_concurrent_runs) values (?, null)
  on conflict (workspace_id) do nothing`;
const SET_LIMIT = `insert into run_limits (workspace_id, max_concurrent_runs) values (?, ?)
  on conflict (workspace_id) do update set max_concurrent_runs = excluded.max_concurrent_runs`;
/** Counts no further than asked, so that it costs the same with ten or ten thousand runs. */
const GOING = `select count(*) as count from (
  select 1 from runs where workspace_id = ? and finished_at is null and place_wanted_at is null limit ?) going`;
const WAITING = `select count(*) as count from (
  select 1 from runs where workspace_id = ? and place_wanted_at is not null limit ?) waiting`;
const FIRST = (
  skipLocked: string,
) => `select r.id as run_id, r.workspace_id, r.project_id, r.place_wanted_at as wanted_at,
    (select a.id from run_attempts a where a.run_id = r.id and a.attempt = r.current_attempt) as run_attempt_id
  from runs r where r.workspace_id = ? and r.place_wanted_at is not null
  order by r.created_at, r.id limit 1${skipLocked}`;
const GIVE = "update runs set place_wanted_at = null, updated_at = ? where id = ?";
const WORKSPACES = "select distinct workspace_id from runs where place_wanted_at is not null limit ?";

interface Limit {
  readonly max_concurrent_runs: number | null;
}

/** Null when the workspace has none of its own. */
export async function findLimit(tx: Tx, workspaceId: string): Promise<number | null> {
  return (await tx.get<Limit>(LIMIT, [workspaceId]))?.max_concurrent_runs ?? null;
}

/** The limit, and whether any run waits, in one statement: asked whenever a run ends. */
export async function lookAtPlaces(tx: Tx, workspaceId: string): Promise<{ limit: number | null; someWait: boolean }> {
  const row = await tx.get<Limit & { waits: number | null }>(LOOK, [workspaceId, workspaceId]);
  return { limit: row?.max_concurrent_runs ?? null, someWait: row?.waits === 1 };
}

/** As `findLimit`, and nobody else gives away places of the workspace until the transaction ends. */
export async function lockLimit(tx: WriteTx, forUpdate: string, workspaceId: string): Promise<number | null> {
  if (forUpdate !== "") await tx.run(MAKE_LIMIT, [workspaceId]);
  return (await tx.get<Limit>(`${LIMIT}${forUpdate}`, [workspaceId]))?.max_concurrent_runs ?? null;
}

export async function setLimit(tx: WriteTx, workspaceId: string, limit: number | null): Promise<void> {
  await tx.run(SET_LIMIT, [workspaceId, limit]);
}

/** Runs that have a place, at most `most`. */
export async function countGoing(tx: Tx, workspaceId: string, most: number): Promise<number> {
  return (await tx.get<{ count: number }>(GOING, [workspaceId, most]))?.count ?? 0;
}

export async function countWaiting(tx: Tx, workspaceId: string, most: number): Promise<number> {
  return (await tx.get<{ count: number }>(WAITING, [workspaceId, most]))?.count ?? 0;
}

export interface WaitingRun {
  readonly run_id: string;
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_attempt_id: string;
  readonly wanted_at: number;
}

/** Gives a place to the run that was created first, one that is being cancelled just now passed over. */
export async function takeFirstWaiting(
  tx: WriteTx,
  skipLocked: string,
  workspaceId: string,
  now: number,
): Promise<WaitingRun | undefined> {
  const run = await tx.get<WaitingRun>(FIRST(skipLocked), [workspaceId]);
  if (run) await tx.run(GIVE, [now, run.run_id]);
  return run;
}

export async function workspacesWithWaiting(tx: Tx, most: number): Promise<string[]> {
  return (await tx.all<{ workspace_id: string }>(WORKSPACES, [most])).map((row) => row.workspace_id);
}
