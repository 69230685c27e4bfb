import type { Usage } from "@shipfox/shared/api/usage";
import type { Store } from "../../store/store.ts";

const BY_STATUS = `select r.status, count(*) as count from runs r
  where r.project_id in (select id from projects where workspace_id = ?) and r.created_at >= ? and r.created_at < ?
  group by r.status order by r.status`;
/** Only the part of each execution that lies in the window. */
const JOB_TIME = `select coalesce(sum(
    (case when coalesce(finished_at, ?) < ? then coalesce(finished_at, ?) else ? end) -
    (case when started_at > ? then started_at else ? end)), 0) as milliseconds
  from job_executions where workspace_id = ? and started_at < ? and (finished_at is null or finished_at > ?)`;
const LOG_BYTES = "select coalesce(sum(length), 0) as bytes from log_streams where workspace_id = ?";
const FILES = "select artifact_bytes, cache_bytes from blob_usage where workspace_id = ?";
const TRIGGER_EVENTS = "select events, bytes from trigger_event_usage where workspace_id = ?";
const CONCURRENT = `select
    coalesce(sum(case when place_wanted_at is null then 1 else 0 end), 0) as going,
    coalesce(sum(case when place_wanted_at is null then 0 else 1 end), 0) as waiting
  from runs where workspace_id = ? and finished_at is null`;
const SECOND_MS = 1_000;
const SECONDS_PER_MINUTE = 60;

/** What a workspace used in a window, counted beside the event loop. `now` ends what still runs. */
export async function readUsage(
  store: Store,
  workspaceId: string,
  { from, to }: { from: number; to: number },
  now: number,
): Promise<
  Pick<
    Usage,
    "runs" | "job_minutes" | "stored_log_bytes" | "stored_files" | "stored_trigger_events" | "concurrent_runs"
  >
> {
  const end = Math.min(to, now);
  const [statuses, [time], [logs], [concurrent], [events], [files]] = await Promise.all([
    store.readSlow<Usage["runs"]["by_status"][number]>(BY_STATUS, [workspaceId, from, to]),
    store.readSlow<{ milliseconds: number }>(JOB_TIME, [now, end, now, end, from, from, workspaceId, end, from]),
    store.readSlow<{ bytes: number }>(LOG_BYTES, [workspaceId]),
    store.readSlow<Usage["concurrent_runs"]>(CONCURRENT, [workspaceId]),
    store.readSlow<Usage["stored_trigger_events"]>(TRIGGER_EVENTS, [workspaceId]),
    store.readSlow<Usage["stored_files"]>(FILES, [workspaceId]),
  ]);
  return {
    runs: { total: statuses.reduce((sum, { count }) => sum + count, 0), by_status: statuses },
    job_minutes: Math.round((time?.milliseconds ?? 0) / SECOND_MS) / SECONDS_PER_MINUTE,
    stored_log_bytes: logs?.bytes ?? 0,
    stored_files: files ?? { artifact_bytes: 0, cache_bytes: 0 },
    stored_trigger_events: events ?? { events: 0, bytes: 0 },
    concurrent_runs: concurrent ?? { going: 0, waiting: 0 },
  };
}
