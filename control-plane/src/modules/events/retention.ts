import type { Store, WriteTx } from "../../store/store.ts";
import { deleteEventsUpTo, firstEvents, oldestOfEach } from "./store.ts";

/** Events deleted in one transaction. */
const BATCH = 500;
/** What comes due within this time is deleted together. */
const SLACK_MS = 60_000;

/**
 * Deletes events that are older than their time, a batch of each workspace, and answers when to call again; null when
 * there are none. Only the oldest numbers go, so that what is kept has no holes.
 */
export async function deleteOldRunEvents(store: Store, keptMs: number | null, now: number): Promise<number | null> {
  if (keptMs === null) return null;
  const until = now - keptMs;
  let next: number | null = null;
  for (const { workspaceId, createdAt } of await store.read(oldestOfEach)) {
    const isMore = createdAt <= until && (await store.write((tx) => deleteBatch(tx, workspaceId, until)));
    const due = isMore ? now : Math.max(createdAt + keptMs, now) + SLACK_MS;
    next = Math.min(next ?? due, due);
  }
  return next;
}

/** True when there is more to delete. */
async function deleteBatch(tx: WriteTx, workspaceId: string, until: number): Promise<boolean> {
  const events = await firstEvents(tx, workspaceId, BATCH);
  const kept = events.findIndex((event) => event.created_at > until);
  const last = kept < 0 ? events.at(-1) : events[kept - 1];
  if (last) await deleteEventsUpTo(tx, workspaceId, last.id);
  return kept < 0 && events.length === BATCH;
}
