import { MAX_FACET_VALUES, type TriggerEventsQuery } from "@shipfox/shared/api/trigger-events";
import { build } from "../../store/build.ts";
import type { TriggerEventRow, TriggerEventUsageRow } from "../../store/schema.ts";
import { marks } from "../../store/marks.ts";
import type { Store, Tx, WriteTx } from "../../store/store.ts";

const COLUMNS = [
  "id",
  "workspace_id",
  "origin",
  "event_ref",
  "provider",
  "source",
  "event",
  "delivery_id",
  "connection_id",
  "untrusted",
  "payload",
  "payload_bytes",
  "outcome",
  "matched_count",
  "received_at",
  "processed_at",
  "due_at",
  "created_at",
  "pass",
  "reference",
  "repository_id",
  "subject",
  "subject_at",
  "head_commit",
  "approval",
  "workflows_hash",
  "approved_by",
  "approved_at",
] as const satisfies (keyof TriggerEventRow)[];
const INSERT = `insert into trigger_events (${COLUMNS.join(", ")}) values (${COLUMNS.map(() => "?").join(", ")})
  on conflict (workspace_id, event_ref) do nothing`;
const WITH_CONNECTION = `select e.*, c.display_name as connection_name
  from trigger_events e left join connections c on c.id = e.connection_id where e.id = ?`;
const DELETE_OLD = `delete from trigger_events where id in
  (select id from trigger_events where received_at <= ? order by received_at limit ?) returning workspace_id, payload_bytes`;
const COUNT = `insert into trigger_event_usage (workspace_id, events, bytes) values (?, ?, ?) on conflict (workspace_id)
  do update set events = trigger_event_usage.events + excluded.events, bytes = trigger_event_usage.bytes + excluded.bytes
  returning events, bytes`;
const OLDEST = `select id, payload_bytes from trigger_events where workspace_id = ? order by received_at, id limit ?`;

/** False when the workspace has an event of this reference. */
export async function insertTriggerEvent(tx: WriteTx, row: TriggerEventRow): Promise<boolean> {
  const values = COLUMNS.map((column) => row[column]);
  return (await tx.run(INSERT, values)) === 1;
}

export async function findByRef(tx: Tx, workspaceId: string, eventRef: string): Promise<string | undefined> {
  const sql = "select id from trigger_events where workspace_id = ? and event_ref = ?";
  return (await tx.get<{ id: string }>(sql, [workspaceId, eventRef]))?.id;
}

export type EventUsage = Pick<TriggerEventUsageRow, "events" | "bytes">;

/** Adds to what is counted of a workspace, or takes from it; answers what it has now. */
export async function countEvents(tx: WriteTx, workspaceId: string, change: EventUsage): Promise<EventUsage> {
  const row = await tx.get<EventUsage>(COUNT, [workspaceId, change.events, change.bytes]);
  return row ?? change;
}

export function oldestEvents(
  tx: Tx,
  workspaceId: string,
  limit: number,
): Promise<Pick<TriggerEventRow, "id" | "payload_bytes">[]> {
  return tx.all(OLDEST, [workspaceId, limit]);
}

export async function deleteEvents(tx: WriteTx, ids: readonly string[]): Promise<void> {
  await tx.run(`delete from trigger_events where id in (${marks(ids.length)})`, [...ids]);
}

export type ListedEvent = Omit<TriggerEventRow, "payload" | "payload_bytes">;

/** One page and one row more, newest first; `before` is the last row of the page before. */
export function listTriggerEvents(
  tx: Tx,
  query: TriggerEventsQuery,
  before: readonly [receivedAt: number, id: string] | null,
): Promise<ListedEvent[]> {
  let select = build
    .selectFrom("trigger_events")
    .select(["id", "workspace_id", "origin", "event_ref", "provider", "source", "event", "delivery_id"])
    .select(["connection_id", "untrusted", "outcome", "matched_count"])
    .select(["received_at", "processed_at", "due_at", "created_at", "pass", "reference", "repository_id"])
    .select(["subject", "subject_at", "head_commit", "approval", "workflows_hash", "approved_by", "approved_at"])
    .where("workspace_id", "=", query.workspace_id)
    .orderBy("received_at", "desc")
    .orderBy("id", "desc")
    .limit(query.limit + 1);
  if (query.source !== undefined) select = select.where("source", "in", query.source);
  if (query.event !== undefined) select = select.where("event", "in", query.event);
  if (query.outcome !== undefined) select = select.where("outcome", "in", query.outcome);
  if (query.approval !== undefined) select = select.where("approval", "in", query.approval);
  if (query.from !== undefined) select = select.where("received_at", ">=", query.from);
  if (query.to !== undefined) select = select.where("received_at", "<=", query.to);
  if (before !== null) {
    const [receivedAt, id] = before;
    select = select.where((e) =>
      e.or([e("received_at", "<", receivedAt), e.and([e("received_at", "=", receivedAt), e("id", "<", id)])]),
    );
  }
  return tx.rows<ListedEvent>(select);
}

export type EventWithConnection = TriggerEventRow & { connection_name: string | null };

export function findTriggerEvent(tx: Tx, eventId: string): Promise<EventWithConnection | undefined> {
  return tx.get<EventWithConnection>(WITH_CONNECTION, [eventId]);
}

/** The most frequent values of a column of a workspace's events: a scan, so it runs beside the event loop. */
export function facetOf(
  store: Store,
  workspaceId: string,
  column: "source" | "event",
): Promise<{ value: string; count: number }[]> {
  const sql = `select ${column} as value, count(*) as count from trigger_events where workspace_id = ?
    group by ${column} order by count(*) desc, ${column} limit ${MAX_FACET_VALUES}`;
  return store.readSlow(sql, [workspaceId]);
}

/** The number of events deleted. */
export async function deleteReceivedUntil(tx: WriteTx, until: number, limit: number): Promise<number> {
  type Deleted = Pick<TriggerEventRow, "workspace_id" | "payload_bytes">;
  const deleted = await tx.all<Deleted>(DELETE_OLD, [until, limit]);
  for (const [workspaceId, rows] of Object.entries(Object.groupBy(deleted, (row) => row.workspace_id))) {
    const bytes = (rows ?? []).reduce((sum, row) => sum + row.payload_bytes, 0);
    await countEvents(tx, workspaceId, { events: -(rows ?? []).length, bytes: -bytes });
  }
  return deleted.length;
}

export async function oldestReceivedAt(tx: Tx): Promise<number | null> {
  const row = await tx.get<{ oldest: number | null }>("select min(received_at) as oldest from trigger_events");
  return row?.oldest ?? null;
}
