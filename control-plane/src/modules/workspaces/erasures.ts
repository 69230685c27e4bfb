import type { Logger } from "@shipfox/shared/logger";
import type { Store } from "../../store/store.ts";
import { removeRuns, RUNS_BATCH } from "../runs/public.ts";

/** Runs that are removed together, and rows that one transaction deletes. */
const RUNS = RUNS_BATCH;
const ROWS = 100;
/** Runs of a workspace that was just deleted are still being cancelled. */
const UNFINISHED_RETRY_MS = 60_000;

const OLDEST_DELETED =
  "select id, updated_at as deleted_at from workspaces where status = 'deleted' order by updated_at, id limit 1";
const UNFINISHED = "select 1 as found from runs where workspace_id = ? and finished_at is null limit 1";
const SOME_RUNS =
  "select r.id from projects p join runs r on r.project_id = p.id where p.workspace_id = ? order by r.id limit ?";

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
  /** Removes the files of all logs of some executions; safe to repeat. */
  readonly removeLogs: (executionIds: readonly string[]) => Promise<void>;
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
async function eraseRuns(deps: ErasureDeps, workspaceId: string): Promise<boolean> {
  const runs = await deps.store.read((tx) => tx.all<{ id: string }>(SOME_RUNS, [workspaceId, RUNS]));
  if (runs.length === 0) return false;
  await removeRuns(
    deps,
    runs.map(({ id }) => id),
  );
  return true;
}

/** False when none of the parts has rows any more. */
async function eraseRows({ store }: ErasureDeps, workspaceId: string): Promise<boolean> {
  for (const sql of PARTS) {
    if ((await store.write((tx) => tx.run(sql, [workspaceId, ROWS]))) > 0) return true;
  }
  return false;
}
