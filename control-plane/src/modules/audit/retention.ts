import type { Store } from "../../store/store.ts";

const BATCH = 1_000;
const DELETE =
  "delete from audit_events where id in (select id from audit_events where created_at <= ? order by created_at limit ?)";
const OLDEST = "select min(created_at) as oldest from audit_events";

/** Deletes one batch of what is older than its time, and answers when to call again; null when there is nothing. */
export async function deleteOldAuditEvents(store: Store, retentionMs: number, now: number): Promise<number | null> {
  const deleted = await store.write((tx) => tx.run(DELETE, [now - retentionMs, BATCH]));
  if (deleted === BATCH) return now;
  const oldest = (await store.read((tx) => tx.get<{ oldest: number | null }>(OLDEST)))?.oldest ?? null;
  return oldest === null ? null : oldest + retentionMs;
}
