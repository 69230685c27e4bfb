import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import type { Caller } from "../../http/caller.ts";
import type { WebhookDeliveryRow, WebhookRow } from "../../store/schema.ts";
import { audit, type ManageDeps, requireWebhook, type WebhookPlace } from "./manage-webhooks.ts";
import { TEST_EVENT } from "./model.ts";
import { findDelivery, insertDelivery, restartDelivery } from "./store.ts";

/** Plans a delivery anew, whatever became of it; it keeps its id, by which receivers know a repeat. */
export async function redeliver(
  { store, clock, access, wake }: ManageDeps,
  caller: Caller,
  place: WebhookPlace,
  deliveryId: string,
): Promise<WebhookDeliveryRow> {
  const now = clock.now();
  return store.write(async (tx) => {
    const webhook = await requireWebhook(access, tx, caller, place, store.sql.forUpdate);
    refuseDisabled(webhook);
    if (!(await findDelivery(tx, webhook.id, deliveryId))) {
      throw new ApiError(
        "not-found",
        "the webhook has no delivery with this id; they are deleted when their time is over",
      );
    }
    await restartDelivery(tx, deliveryId, now);
    await audit(tx, caller, webhook, "webhook.redelivered", { delivery_id: deliveryId });
    tx.afterCommit(wake);
    return (await findDelivery(tx, webhook.id, deliveryId)) as WebhookDeliveryRow;
  });
}

/** Plans a delivery that tells of nothing, signed and retried like any other. */
export async function sendTest(
  { store, clock, access, wake }: ManageDeps,
  caller: Caller,
  place: WebhookPlace,
): Promise<WebhookDeliveryRow> {
  const now = clock.now();
  const id = newId(now);
  const event = {
    id: null,
    type: TEST_EVENT,
    run_id: null,
    created_at: new Date(now).toISOString(),
    payload: { workspace_id: place.workspaceId, webhook_id: place.webhookId },
  };
  return store.write(async (tx) => {
    const webhook = await requireWebhook(access, tx, caller, place);
    refuseDisabled(webhook);
    await insertDelivery(tx, {
      id,
      webhook_id: webhook.id,
      event_id: null,
      event_type: TEST_EVENT,
      body: JSON.stringify(event),
      due_at: now,
      created_at: now,
    });
    await audit(tx, caller, webhook, "webhook.tested", { delivery_id: id });
    tx.afterCommit(wake);
    return (await findDelivery(tx, webhook.id, id)) as WebhookDeliveryRow;
  });
}

function refuseDisabled({ status, disabled_reason }: WebhookRow): void {
  if (status === "active") return;
  const why = disabled_reason === null ? "" : `: ${disabled_reason}`;
  throw new ApiError("webhook-disabled", `the webhook is disabled${why}; enable it first`);
}
