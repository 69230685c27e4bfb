import { deleteOld } from "../../store/delete-old.ts";
import type { Store, Tx, WriteTx } from "../../store/store.ts";

const BATCH = 1_000;
const DELETE =
  "delete from audit_events where id in (select id from audit_events where created_at <= ? order by created_at limit ?)";
const OLDEST = "select min(created_at) as oldest from audit_events";

/** Deletes one batch of what is older than its time, and answers when to call again; null when there is nothing. */
export function deleteOldAuditEvents(store: Store, keptMs: number, now: number): Promise<number | null> {
  const remove = (tx: WriteTx, until: number, limit: number) => tx.run(DELETE, [until, limit]);
  return deleteOld(store, { keptMs, batch: BATCH, remove, oldest }, now);
}

async function oldest(tx: Tx): Promise<number | null> {
  return (await tx.get<{ oldest: number | null }>(OLDEST))?.oldest ?? null;
}
