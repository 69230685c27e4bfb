import type { TriggerEventRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

const INSERT = `insert into trigger_events (id, workspace_id, origin, event_ref, provider, source, event, delivery_id,
    connection_id, untrusted, payload, outcome, matched_count, received_at, processed_at, due_at, created_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (workspace_id, event_ref) do nothing`;
const DELETE_OLD = `delete from trigger_events where id in
  (select id from trigger_events where received_at <= ? order by received_at limit ?)`;

/** False when the workspace has an event of this reference. */
export async function insertTriggerEvent(tx: WriteTx, row: TriggerEventRow): Promise<boolean> {
  const values = [row.id, row.workspace_id, row.origin, row.event_ref, row.provider, row.source, row.event];
  values.push(row.delivery_id, row.connection_id);
  const rest = [row.untrusted, row.payload, row.outcome, row.matched_count, row.received_at, row.processed_at];
  return (await tx.run(INSERT, [...values, ...rest, row.due_at, row.created_at])) === 1;
}

export async function findByRef(tx: Tx, workspaceId: string, eventRef: string): Promise<string | undefined> {
  const sql = "select id from trigger_events where workspace_id = ? and event_ref = ?";
  return (await tx.get<{ id: string }>(sql, [workspaceId, eventRef]))?.id;
}

/** The number of events deleted. */
export function deleteReceivedUntil(tx: WriteTx, until: number, limit: number): Promise<number> {
  return tx.run(DELETE_OLD, [until, limit]);
}

export async function oldestReceivedAt(tx: Tx): Promise<number | null> {
  const row = await tx.get<{ oldest: number | null }>("select min(received_at) as oldest from trigger_events");
  return row?.oldest ?? null;
}
