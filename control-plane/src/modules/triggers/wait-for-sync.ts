import type { WriteTx } from "../../store/store.ts";

/** An event is routed after this even when the sync that it asked for has not ended. */
const LIMIT_MS = 30_000;

const WAIT = "update trigger_events set due_at = ? where id = ?";
const RELEASE = `update trigger_events set due_at = ? where outcome = 'received' and due_at > ? and received_at <= ? and id in
  (select e.id from projects p join trigger_events e on e.connection_id = p.connection_id and e.repository_id = p.external_repository_id
    where p.id = ? and e.due_at > ?)`;

/** Has an event that changes workflows wait until they are read, so that it starts what they are now. */
export async function waitForSync(tx: WriteTx, eventId: string, now: number): Promise<void> {
  await tx.run(WAIT, [now + LIMIT_MS, eventId]);
}

/** The events about a project's repository that came before its workflows were read wait no more. Answers whether there were any. */
export async function releaseEvents(tx: WriteTx, projectId: string, readAt: number, now: number): Promise<boolean> {
  return (await tx.run(RELEASE, [now, now, readAt, projectId, now])) > 0;
}
