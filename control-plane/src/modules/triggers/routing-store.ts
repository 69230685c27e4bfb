import type { TriggerEvent } from "@shipfox/shared/api/trigger-events";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

const DUE = "select id, workspace_id from trigger_events where due_at <= ? order by due_at, id limit ?";
const SETTLE = `update trigger_events set outcome = ?, matched_count = ?, processed_at = ?, due_at = ?
  where id = ? and pass = ? and due_at = ?`;
const REPLAY = `update trigger_events set outcome = 'received', pass = pass + 1, processed_at = null, due_at = ?,
    approval = null, workflows_hash = null, approved_by = null, approved_at = null
  where id = ? and due_at is null and outcome <> 'received'`;

/** Events that are to be routed, the longest due first. */
export function dueEvents(tx: Tx, now: number, limit: number): Promise<Pick<TriggerEventRow, "id" | "workspace_id">[]> {
  return tx.all(DUE, [now, limit]);
}

export async function nextDueEvent(tx: Tx): Promise<number | null> {
  const sql = "select min(due_at) as next from trigger_events where due_at is not null";
  return (await tx.get<{ next: number | null }>(sql))?.next ?? null;
}

export function findEvent(tx: Tx, eventId: string): Promise<TriggerEventRow | undefined> {
  return tx.get<TriggerEventRow>("select * from trigger_events where id = ?", [eventId]);
}

/** The row is locked until the unit ends. */
export function lockEvent(tx: WriteTx, forUpdate: string, eventId: string): Promise<TriggerEventRow | undefined> {
  return tx.get<TriggerEventRow>(`select * from trigger_events where id = ?${forUpdate}`, [eventId]);
}

/** Nothing happens when the event was settled, replayed or made due at another time since it was read. */
export async function settleEvent(
  tx: WriteTx,
  { id, pass, due_at }: Pick<TriggerEventRow, "id" | "pass" | "due_at">,
  settled: { outcome: TriggerEvent["outcome"]; matched: number; processedAt: number | null; dueAt: number | null },
): Promise<void> {
  const { outcome, matched, processedAt, dueAt } = settled;
  await tx.run(SETTLE, [outcome, matched, processedAt, dueAt, id, pass, due_at]);
}

/** False for an event that is still to be routed. */
export async function replayEvent(tx: WriteTx, eventId: string, now: number): Promise<boolean> {
  return (await tx.run(REPLAY, [now, eventId])) === 1;
}
