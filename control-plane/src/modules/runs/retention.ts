import type { Clock } from "../../store/clock.ts";
import { marks } from "../../store/marks.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import { type RemovedRun, type RemovedRuns } from "./removed-runs.ts";
import { removeRuns, type RemoveRunsDeps, RUNS_BATCH } from "./remove-runs.ts";

/** The shortest rest behind a batch; a batch that took longer is followed by one as long as it. */
const MIN_PAUSE_MS = 100;
/** What comes due within this time is removed together. */
const SLACK_MS = 60_000;

const GOING = "select id from runs where removed_at is not null order by removed_at limit ?";
const OLDEST = "select min(finished_at) as at from runs where finished_at is not null and removed_at is null";
/** Executions of a run whose runner or log is still about; the paths are those of the references, which have indexes. */
const executionWith = (what: string) => `select 1 from run_attempts a join jobs j on j.run_attempt_id = a.id
    join job_executions e on e.job_id = j.id join ${what} where a.run_id = r.id`;
/** Of what nothing is open: no runner that still cleans up, no log that takes a late tail, no place in a group. */
const CANDIDATES = `select r.id from runs r where r.finished_at <= ? and r.removed_at is null
  and not exists (${executionWith("leases l on l.job_execution_id = e.id")} and l.ended_at is null)
  and not exists (${executionWith("log_streams s on s.job_execution_id = e.id")} and s.state = 'open')
  and not exists (select 1 from run_attempts a join concurrency_members m on m.run_attempt_id = a.id where a.run_id = r.id)
  order by r.finished_at limit ?`;
/** A run that somebody reruns meanwhile is not finished any more. */
const hide = (count: number) => `update runs set removed_at = ? where id in (${marks(count)}) and finished_at <= ?
  and removed_at is null returning id, project_id`;

export interface RunRetentionDeps extends RemoveRunsDeps {
  readonly clock: Clock;
  /** How long runs are kept after they ended, milliseconds; null for ever. */
  readonly keptMs: number | null;
  readonly removed: RemovedRuns;
  /** Drops some artifacts of some runs; false when they have none any more. */
  readonly dropArtifacts: (runIds: readonly string[], now: number) => Promise<boolean>;
}

/**
 * Removes one batch of the runs that ended long enough ago, with all that belongs to them, and answers when to call again; null
 * when there are none that could get old. A run is hidden at once and for good, and deleted piece by piece after that: nobody
 * sees a part of it, and a crash leaves nothing behind. Run events have a time of their own.
 */
export async function removeOldRuns(deps: RunRetentionDeps, now: number): Promise<number | null> {
  const { store, clock, keptMs } = deps;
  const beganAt = clock.monotonic();
  const going = (await store.read((tx) => tx.all<{ id: string }>(GOING, [RUNS_BATCH]))).map(({ id }) => id);
  const runs = going.length > 0 || keptMs === null ? going : await hideOld(deps, now - keptMs, now);
  if (runs.length > 0) {
    if (!(await deps.dropArtifacts(runs, now))) await removeRuns(deps, runs);
    const took = Math.ceil(clock.monotonic() - beganAt);
    return now + took + Math.max(took, MIN_PAUSE_MS);
  }
  const oldest = keptMs === null ? null : await store.read(oldestFinished);
  return oldest === null || keptMs === null ? null : Math.max(oldest + keptMs, now) + SLACK_MS;
}

async function hideOld({ store, removed }: RunRetentionDeps, until: number, now: number): Promise<string[]> {
  const found = await store.read((tx) => tx.all<{ id: string }>(CANDIDATES, [until, RUNS_BATCH]));
  if (found.length === 0) return [];
  const ids = found.map(({ id }) => id);
  const hidden = await store.write(async (tx: WriteTx) => {
    const runs = await tx.all<RemovedRun>(hide(ids.length), [now, ...ids, until]);
    tx.afterCommit(() => removed.tell(runs));
    return runs;
  });
  return hidden.map(({ id }) => id);
}

async function oldestFinished(tx: Tx): Promise<number | null> {
  return (await tx.get<{ at: number | null }>(OLDEST))?.at ?? null;
}
