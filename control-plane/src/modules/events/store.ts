import type { RunEventType } from "@shipfox/shared/api/events";
import { eventOfRow } from "../../events/event-text.ts";
import { build } from "../../store/build.ts";
import type { RunEventRow } from "../../store/schema.ts";
import type { RunEvent, Tx, WriteTx } from "../../store/store.ts";
import { RUNNER_TYPES, type Topic } from "./topics.ts";

const OF_TOPIC = {
  workspace: "workspace_id = ?",
  run: "run_id = ?",
  runners: `workspace_id = ? and type like '${RUNNER_TYPES}%'`,
} as const satisfies Record<Topic["kind"], string>;

/** The events of a topic behind number `after`, at most `limit`. */
export async function eventsAfter(tx: Tx, topic: Topic, after: number, limit: number): Promise<RunEvent[]> {
  const sql = `select * from run_events where ${OF_TOPIC[topic.kind]} and id > ? order by id limit ?`;
  return (await tx.all<RunEventRow>(sql, [topic.id, after, limit])).map(eventOfRow);
}

/** The event of this number when it is the start of a step of this run. */
export async function findStepStart(tx: Tx, runId: string, id: number): Promise<RunEvent | null> {
  const sql = "select * from run_events where run_id = ? and id = ? and type = 'step.started'";
  const row = await tx.get<RunEventRow>(sql, [runId, id]);
  return row ? eventOfRow(row) : null;
}

/** As `eventsAfter`, of one run and of these types only; all when undefined. */
export async function listRunEvents(
  tx: Tx,
  filter: { runId: string; after: number; types: readonly RunEventType[] | undefined; limit: number },
): Promise<RunEvent[]> {
  let select = build
    .selectFrom("run_events")
    .selectAll()
    .where("run_id", "=", filter.runId)
    .where("id", ">", filter.after)
    .orderBy("id")
    .limit(filter.limit);
  if (filter.types !== undefined) select = select.where("type", "in", [...filter.types]);
  return (await tx.rows<RunEventRow>(select)).map(eventOfRow);
}

/** The number of the oldest event that is kept; null when none is. */
export async function oldestEvent(tx: Tx, workspaceId: string): Promise<number | null> {
  const sql = "select min(id) as oldest from run_events where workspace_id = ?";
  return (await tx.get<{ oldest: number | null }>(sql, [workspaceId]))?.oldest ?? null;
}

/** True when no event of the run was deleted: its first one is still there. */
export async function hasWholeRun(tx: Tx, runId: string): Promise<boolean> {
  const sql = "select type from run_events where run_id = ? order by id limit 1";
  return (await tx.get<{ type: string }>(sql, [runId]))?.type === "run.created";
}

const OLDEST_OF_EACH = `select w.id as "workspaceId",
    (select e.created_at from run_events e where e.workspace_id = w.id order by e.id limit 1) as "createdAt"
  from workspaces w`;

/** When the oldest event of each workspace that has one happened. */
export async function oldestOfEach(tx: Tx): Promise<{ workspaceId: string; createdAt: number }[]> {
  const rows = await tx.all<{ workspaceId: string; createdAt: number | null }>(OLDEST_OF_EACH);
  return rows.flatMap(({ workspaceId, createdAt }) => (createdAt === null ? [] : [{ workspaceId, createdAt }]));
}

/** The oldest events of a workspace, by number. */
export function firstEvents(tx: Tx, workspaceId: string, limit: number): Promise<{ id: number; created_at: number }[]> {
  return tx.all("select id, created_at from run_events where workspace_id = ? order by id limit ?", [
    workspaceId,
    limit,
  ]);
}

export async function deleteEventsUpTo(tx: WriteTx, workspaceId: string, id: number): Promise<void> {
  await tx.run("delete from run_events where workspace_id = ? and id <= ?", [workspaceId, id]);
}
