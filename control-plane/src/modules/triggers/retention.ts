import { deleteOld } from "../../store/delete-old.ts";
import type { Store } from "../../store/store.ts";
import { deleteReceivedUntil, oldestReceivedAt } from "./store.ts";

/** Payloads are large, so a batch is small. */
const BATCH = 100;

/** Deletes one batch of the events that are older than their time, and answers when to call again; null when there is none. */
export function deleteOldTriggerEvents(store: Store, keptMs: number | null, now: number): Promise<number | null> {
  return deleteOld(store, { keptMs, batch: BATCH, remove: deleteReceivedUntil, oldest: oldestReceivedAt }, now);
}
