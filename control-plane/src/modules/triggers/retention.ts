import type { Store } from "../../store/store.ts";
import { deleteReceivedUntil, oldestReceivedAt } from "./store.ts";

/** Payloads are large, so a batch is small. */
const BATCH = 100;

/** Deletes one batch of the events that are older than their time, and answers when to call again; null when there is none. */
export async function deleteOldTriggerEvents(store: Store, retentionMs: number, now: number): Promise<number | null> {
  const deleted = await store.write((tx) => deleteReceivedUntil(tx, now - retentionMs, BATCH));
  if (deleted === BATCH) return now;
  const oldest = await store.read(oldestReceivedAt);
  return oldest === null ? null : oldest + retentionMs;
}
