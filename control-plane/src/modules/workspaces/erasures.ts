import type { Logger } from "@shipfox/shared/logger";
import { marks } from "../../store/marks.ts";
import type { Store, WriteTx } from "../../store/store.ts";

/** Runs, jobs or rows that one transaction deletes; a job goes with its executions and steps. */
const RUNS = 16;
const JOBS = 16;
const ROWS = 100;
/** Runs of a workspace that was just deleted are still being cancelled. */
const UNFINISHED_RETRY_MS = 60_000;

const OLDEST_DELETED =
  "select id, updated_at as deleted_at from workspaces where status = 'deleted' order by updated_at, id limit 1";
const UNFINISHED = "select 1 as found from runs where workspace_id = ? and finished_at is null limit 1";
const SOME_RUNS =
  "select r.id from projects p join runs r on r.project_id = p.id where p.workspace_id = ? order by r.id limit ?";
const jobsOf = (runs: number) =>
  `select j.id from run_attempts a join jobs j on j.run_attempt_id = a.id where a.run_id in (${marks(runs)}) limit ?`;

/** The rest of what may be many rows, in the order in which it goes: what refers to something goes before it. */
const PARTS = [
  `delete from webhook_deliveries where id in
    (select d.id from webhooks w join webhook_deliveries d on d.webhook_id = w.id where w.workspace_id = ? limit ?)`,
  ...[
    ["run_events", "workspace_id, id"],
    ["trigger_events", "id"],
    ["secrets", "workspace_id, scope_id, key"],
    ["variables", "workspace_id, scope_id, key"],
    ["definitions", "id"],
    ["projects", "id"],
    ["connections", "id"],
    ["runners", "id"],
    ["registration_tokens", "id"],
  ].map(
    ([table, key]) =>
      `delete from ${table} where (${key}) in (select ${key} from ${table} where workspace_id = ? limit ?)`,
  ),
];

export interface ErasureDeps {
  readonly store: Store;
  readonly log: Logger;
  /** How long a deleted workspace keeps its rows and logs, milliseconds. */
  readonly keptMs: number;
  /** Removes the files of all logs of some jobs; safe to repeat. */
  readonly removeLogs: (jobIds: readonly string[]) => Promise<void>;
  /** Removes some artifacts and caches of a workspace; false when it has none any more. */
  readonly removeFiles: (workspaceId: string, now: number) => Promise<boolean>;
}

/**
 * Deletes all that is left of workspaces which were deleted long enough ago: one small batch, files of logs before the
 * rows that name them, the row of the workspace last. Answers when to call again; null when no deleted workspace is left.
 * What is to be done is read from the rows each time, so that a crash at any moment loses nothing of it. The audit log stays.
 */
export async function eraseDeleted(deps: ErasureDeps, now: number): Promise<number | null> {
  const { store, log, keptMs } = deps;
  const workspace = await store.read((tx) => tx.get<{ id: string; deleted_at: number }>(OLDEST_DELETED));
  if (!workspace) return null;
  const { id, deleted_at } = workspace;
  if (now < deleted_at + keptMs) return deleted_at + keptMs;
  if (await store.read((tx) => tx.get(UNFINISHED, [id]))) return now + UNFINISHED_RETRY_MS;
  if ((await deps.removeFiles(id, now)) || (await eraseRuns(deps, id)) || (await eraseRows(deps, id))) return now;
  await store.write((tx) => tx.run("delete from workspaces where id = ? and status = 'deleted'", [id]));
  log.info({ workspaceId: id }, "all that was left of a deleted workspace is gone");
  return now;
}

/** False when the workspace has no runs any more. */
async function eraseRuns({ store, removeLogs }: ErasureDeps, workspaceId: string): Promise<boolean> {
  const { runs, jobs } = await store.read(async (tx) => {
    const found = idsOf(await tx.all<{ id: string }>(SOME_RUNS, [workspaceId, RUNS]));
    if (found.length === 0) return { runs: found, jobs: [] };
    return { runs: found, jobs: idsOf(await tx.all<{ id: string }>(jobsOf(found.length), [...found, JOBS])) };
  });
  if (runs.length === 0) return false;
  if (jobs.length > 0) await removeLogs(jobs);
  await store.write(async (tx) => {
    await deleteByIds(tx, "jobs", jobs);
    if (jobs.length < JOBS) await deleteByIds(tx, "runs", runs);
  });
  return true;
}

/** False when none of the parts has rows any more. */
async function eraseRows({ store }: ErasureDeps, workspaceId: string): Promise<boolean> {
  for (const sql of PARTS) {
    if ((await store.write((tx) => tx.run(sql, [workspaceId, ROWS]))) > 0) return true;
  }
  return false;
}

async function deleteByIds(tx: WriteTx, table: "jobs" | "runs", ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await tx.run(`delete from ${table} where id in (${marks(ids.length)})`, [...ids]);
}

function idsOf(rows: readonly { id: string }[]): string[] {
  return rows.map(({ id }) => id);
}
