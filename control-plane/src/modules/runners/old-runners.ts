import type { Store } from "../../store/store.ts";

/** Rows that one transaction deletes; that of a machine may have a console of 16 KiB. */
const BATCH = 200;
/** The shortest rest behind a batch. */
const PAUSE_MS = 100;
const LOOK_AGAIN_MS = 3_600_000;

/** Their states go with them. */
const OLD_INSTANCES = `select i.id from runner_instances i where i.ended_at <= ?
  and not exists (select 1 from leases l where l.session_id = i.session_id and l.ended_at is null)
  and not exists (select 1 from runner_sessions s where s.id = i.session_id and s.ended_at is null and s.last_seen_at > ?)
  order by i.ended_at limit ?`;
/** A runner that is not persistent and was not heard from for so long does not come back: its session is over as well. */
const OLD_SESSIONS = `select s.id from runner_sessions s where s.created_at <= ?
  and (s.ended_at <= ? or (s.ended_at is null and s.last_seen_at <= ?
    and exists (select 1 from runners r where r.id = s.runner_id and r.persistent = 0)))
  and not exists (select 1 from leases l where l.session_id = s.id and l.ended_at is null)
  and not exists (select 1 from runner_instances i where i.session_id = s.id)
  order by s.created_at limit ?`;
/** Jobs show their runner by its name, which only its row has. */
const OLD_RUNNERS = `select r.id from runners r where r.persistent = 0 and r.created_at <= ?
  and not exists (select 1 from runner_sessions s where s.runner_id = r.id)
  and not exists (select 1 from leases l where l.runner_id = r.id and l.ended_at is null)
  and not exists (select 1 from job_executions e where e.runner_id = r.id)
  order by r.created_at limit ?`;

export interface OldRunnersDeps {
  readonly store: Store;
  /** How long what ended is kept, milliseconds; null for ever. */
  readonly keptMs: number | null;
  /** How long runs are kept; null for ever. */
  readonly runsKeptMs: number | null;
}

/**
 * Deletes one batch each of machines and sessions that ended long enough ago, and of the runners that were not persistent once
 * no run that is kept names them; answers when to call again, null when all is kept.
 */
export async function removeOldRunners(deps: OldRunnersDeps, now: number): Promise<number | null> {
  const { store, keptMs, runsKeptMs } = deps;
  if (keptMs === null) return null;
  const until = now - keptMs;
  const moreInstances = await deleteFound(store, "runner_instances", OLD_INSTANCES, [until, until]);
  const moreSessions = await deleteFound(store, "runner_sessions", OLD_SESSIONS, [until, until, until]);
  // Those who are younger than the runs that are kept are named by too many of these to be looked at one by one.
  const runnersUntil = runsKeptMs === null ? null : now - Math.max(keptMs, runsKeptMs);
  const moreRunners = runnersUntil !== null && (await deleteFound(store, "runners", OLD_RUNNERS, [runnersUntil]));
  return now + (moreInstances || moreSessions || moreRunners ? PAUSE_MS : LOOK_AGAIN_MS);
}

async function deleteFound(store: Store, table: string, sql: string, params: readonly number[]): Promise<boolean> {
  const found = await store.read((tx) => tx.all(sql, [...params, BATCH]));
  // Looked for again in the transaction that deletes: what is used meanwhile stays.
  if (found.length > 0)
    await store.write((tx) => tx.run(`delete from ${table} where id in (${sql})`, [...params, BATCH]));
  return found.length === BATCH;
}
