import { sql } from "kysely";
import type { z } from "zod";
import {
  MAX_LISTED_JOBS,
  type JobStatus,
  type runAggregatesQuerySchema,
  type RunListItem,
  type runsQuerySchema,
} from "@shipfox/shared/api/runs";
import { byCreation, decodeCursor, pageOf } from "../../http/cursor.ts";
import { build } from "../../store/build.ts";
import type { JobRow, ListenerRow, RunRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { JobModel } from "../workflow/public.ts";
import type { ExplainWaiting, WaitingPort } from "./ports.ts";
import { modeOf, presentRun } from "./present.ts";
import { REMOVED } from "./removed-runs.ts";
import { explainWaiting, isWaiting, listeningSince, openNeedsAmong } from "./waiting.ts";

type RunsQuery = z.output<typeof runsQuerySchema>;
export type RunFilters = z.output<typeof runAggregatesQuerySchema>;

/** One page of a project's runs, newest first. */
export async function listRuns(
  tx: Tx,
  waiting: WaitingPort,
  query: RunsQuery,
): Promise<{ runs: RunListItem[]; next_cursor: string | null }> {
  let select = filtered(query)
    .selectAll()
    .orderBy("created_at", "desc")
    .orderBy("id", "desc")
    .limit(query.limit + 1);
  if (query.cursor !== undefined) {
    const [createdAt, id] = decodeCursor(query.cursor, ["number", "string"]);
    select = select.where((e) =>
      e.or([e("created_at", "<", createdAt), e.and([e("created_at", "=", createdAt), e("id", "<", id)])]),
    );
  }
  const rows = await tx.rows<RunRow>(select);
  const { page, nextCursor } = pageOf(rows, query.limit, byCreation);
  const jobs = await loadJobRows(
    tx,
    page.map((run) => run.id),
  );
  const runs: RunListItem[] = [];
  const explain = waiting.explainIn(tx);
  for (const run of page) runs.push(await presentItem(tx, explain, run, jobs.get(run.id) ?? []));
  return { runs, next_cursor: nextCursor };
}

export function filtered(query: RunFilters) {
  let select = build
    .selectFrom("runs")
    .where("project_id", "=", query.project_id)
    .where("id", "not in", sql<string>`${sql.raw(REMOVED)}`);
  if (query.status !== undefined) select = select.where("status", "=", query.status);
  if (query.definition_id !== undefined) select = select.where("definition_id", "=", query.definition_id);
  if (query.trigger_source !== undefined) select = select.where("trigger_source", "=", query.trigger_source);
  if (query.created_from !== undefined) select = select.where("created_at", ">=", query.created_from);
  if (query.created_to !== undefined) select = select.where("created_at", "<=", query.created_to);
  return select;
}

type ListedJob = Pick<
  JobRow,
  | "id"
  | "run_id"
  | "workspace_id"
  | "project_id"
  | "key"
  | "name"
  | "status"
  | "position"
  | "needs"
  | "matrix"
  | "concurrency_group"
  | "within"
  | "model"
> & {
  execution_status: string | null;
  execution_created_at: number | null;
  execution_labels: string | null;
  created_at: number;
  labels: string;
  listener_status: ListenerRow["status"] | null;
  listening_since: number | null;
  queued_at: number | null;
  due_at: number | null;
  started_at: number | null;
};

/** The job that ran: of a job that was carried over, the one of the earlier attempt. */
const ranAs = sql<string>`coalesce(j.carried_from, j.id)`;

async function loadJobRows(tx: Tx, runIds: readonly string[]): Promise<Map<string, ListedJob[]>> {
  if (runIds.length === 0) return new Map();
  const rows = await tx.rows<ListedJob>(
    build
      .selectFrom("runs as r")
      .innerJoin("run_attempts as a", (join) =>
        join.onRef("a.run_id", "=", "r.id").onRef("a.attempt", "=", "r.current_attempt"),
      )
      .innerJoin("jobs as j", "j.run_attempt_id", "a.id")
      .leftJoin("job_executions as e", (join) =>
        join.on("e.job_id", "=", ranAs).on("e.sequence", "=", (b) =>
          b
            .selectFrom("job_executions as n")
            .where("n.job_id", "=", ranAs)
            .select((x) => x.fn.max<number>("n.sequence").as("newest")),
        ),
      )
      .leftJoin("listeners as l", (join) => join.on("l.job_id", "=", ranAs))
      .where("r.id", "in", runIds)
      .select([
        "j.id",
        "j.run_id",
        "j.workspace_id",
        "j.project_id",
        "j.key",
        "j.name",
        "j.status",
        "j.position",
        "j.needs",
        "j.within",
        "j.matrix",
        "j.concurrency_group",
        "j.labels",
        "j.created_at",
      ])
      // Only of jobs that are listed: a run may have a thousand.
      .select((b) =>
        b.case().when("j.position", "<", MAX_LISTED_JOBS).then(b.ref("j.model")).else("").end().as("model"),
      )
      .select([
        "e.status as execution_status",
        "e.created_at as execution_created_at",
        "e.labels as execution_labels",
        "l.status as listener_status",
        "l.listening_since",
        "e.queued_at",
        "e.due_at",
        "e.started_at",
      ])
      .orderBy("j.position"),
  );
  return Map.groupBy(rows, (row) => row.run_id);
}

async function presentItem(
  tx: Tx,
  explain: ExplainWaiting,
  run: RunRow,
  jobs: readonly ListedJob[],
): Promise<RunListItem> {
  const openNeedsOf = openNeedsAmong(jobs);
  const listed: RunListItem["jobs"] = [];
  for (const job of jobs.slice(0, MAX_LISTED_JOBS)) {
    const newest = job.execution_status === null ? undefined : { status: job.execution_status };
    const listener =
      job.listener_status === null ? undefined : { status: job.listener_status, listening_since: job.listening_since };
    listed.push({
      id: job.id,
      key: job.key,
      name: job.name,
      status: job.status as JobStatus,
      mode: modeOf(JSON.parse(job.model) as JobModel),
      listener_status: job.listener_status ?? "inactive",
      execution_status: job.execution_status as RunListItem["status"] | null,
      position: job.position,
      waiting: isWaiting(job, newest, listener)
        ? await explainWaiting(tx, explain, {
            workspaceId: job.workspace_id,
            projectId: job.project_id,
            jobId: job.id,
            model: job.model,
            concurrencyGroup: job.concurrency_group,
            labels: job.execution_labels ?? job.labels,
            createdAt: job.execution_created_at ?? job.created_at,
            queuedAt: job.queued_at,
            dueAt: job.due_at,
            placeWantedAt: run.place_wanted_at,
            openNeeds: openNeedsOf(job),
            listeningSince: listeningSince(newest, listener),
          })
        : null,
    });
  }
  const counts = [...Map.groupBy(jobs, (job) => job.status)].map(([status, group]) => ({
    status: status as JobStatus,
    count: group.length,
  }));
  const shownAs = (job: ListedJob) => (job.listener_status === "listening" ? "listening" : job.status);
  const shown = [...Map.groupBy(jobs, shownAs)].map(([status, group]) => ({ status, count: group.length }));
  return {
    ...presentRun(run),
    jobs: listed,
    job_status_counts: counts,
    job_display_status_counts: shown,
    has_started_job_execution: jobs.some((job) => job.started_at !== null),
  };
}
