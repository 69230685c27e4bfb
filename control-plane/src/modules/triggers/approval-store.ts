import type { TriggerEventRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

/** Of the same subject, with another commit, and of a later state; of two of one moment the one that came later. */
const NEWER = `select 1 as found from trigger_events n where n.workspace_id = ? and n.subject = ? and n.head_commit <> ?
  and (n.subject_at > ? or (n.subject_at = ? and n.id > ?)) limit 1`;
const SUPERSEDE = `update trigger_events set approval = 'superseded', outcome = 'discarded', processed_at = ?, due_at = null
  where workspace_id = ? and subject = ? and head_commit <> ? and approval = 'waiting'
    and (subject_at < ? or (subject_at = ? and id < ?))`;
const HOLD = `update trigger_events set approval = 'waiting', workflows_hash = ?, approved_by = null, approved_at = null,
    outcome = 'received', matched_count = ?, processed_at = null, due_at = null where id = ? and pass = ? and due_at = ?`;
const END = `update trigger_events set approval = 'superseded', outcome = 'discarded', processed_at = ?, due_at = null
  where id = ? and pass = ? and due_at = ?`;
const APPROVE = `update trigger_events set approval = 'approved', approved_by = ?, approved_at = ?, due_at = ?
  where id = ? and approval = 'waiting'`;

/** True when what the event is about has got another commit since. */
export async function hasNewerCommit(tx: Tx, event: TriggerEventRow): Promise<boolean> {
  const { id, workspace_id: workspaceId, subject, subject_at: at, head_commit: commit } = event;
  if (subject === null || at === null || commit === null) return false;
  return (await tx.get(NEWER, [workspaceId, subject, commit, at, at, id])) !== undefined;
}

/** Ends the waiting of older events about the same subject with other commits. */
export async function supersedeOlder(tx: WriteTx, event: TriggerEventRow, now: number): Promise<void> {
  const { id, workspace_id: workspaceId, subject, subject_at: at, head_commit: commit } = event;
  if (subject === null || at === null || commit === null) return;
  await tx.run(SUPERSEDE, [now, workspaceId, subject, commit, at, at, id]);
}

export async function holdForApproval(
  tx: WriteTx,
  event: TriggerEventRow,
  { hash, matched }: { hash: string; matched: number },
): Promise<void> {
  await tx.run(HOLD, [hash, matched, event.id, event.pass, event.due_at]);
}

export async function endAsSuperseded(tx: WriteTx, event: TriggerEventRow, now: number): Promise<void> {
  await tx.run(END, [now, event.id, event.pass, event.due_at]);
}

/** False for an event that waits for none. */
export async function approve(tx: WriteTx, eventId: string, userId: string, now: number): Promise<boolean> {
  return (await tx.run(APPROVE, [userId, now, now, eventId])) === 1;
}
