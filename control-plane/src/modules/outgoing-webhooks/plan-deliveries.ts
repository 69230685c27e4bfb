import { newId } from "@shipfox/shared/ids";
import type { Store, WriteTx } from "../../store/store.ts";
import { eventBody } from "./present.ts";
import {
  countWaiting,
  eventsOf,
  findWebhook,
  insertDelivery,
  laggingWebhooks,
  lastEventOf,
  moveCursor,
  runEventsBetween,
} from "./store.ts";

/** Run events looked at in one transaction. */
const BATCH = 200;
/** Deliveries of one webhook that may wait; its further events wait as run events, so that none is lost. */
const MAX_WAITING = 10_000;

/**
 * Writes a delivery for each run event that an active webhook wants and has not had yet. The webhook's place in the events
 * moves in the same transaction, so that a kill loses and doubles none. True when there is more to do at once.
 */
export async function planDeliveries(store: Store, now: number): Promise<boolean> {
  let isMore = false;
  for (const webhookId of await store.read(laggingWebhooks)) {
    if (await store.write((tx) => planBatch(tx, webhookId, store.sql.forUpdate, now))) isMore = true;
  }
  return isMore;
}

async function planBatch(tx: WriteTx, webhookId: string, lock: string, now: number): Promise<boolean> {
  const webhook = await findWebhook(tx, webhookId, lock);
  if (webhook?.status !== "active") return false;
  const room = MAX_WAITING - (await countWaiting(tx, webhookId));
  if (room <= 0) return false;
  const last = await lastEventOf(tx, webhook.workspace_id);
  const to = Math.min(last, webhook.last_event + Math.min(BATCH, room));
  const events = await runEventsBetween(tx, webhook.workspace_id, eventsOf(webhook), webhook.last_event, to);
  for (const event of events) {
    await insertDelivery(tx, {
      id: newId(now),
      webhook_id: webhookId,
      event_id: event.id,
      event_type: event.type,
      body: eventBody(event),
      due_at: now,
      created_at: now,
    });
  }
  await moveCursor(tx, webhookId, to);
  return to < last;
}
