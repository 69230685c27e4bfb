import type { Logger } from "@shipfox/shared/logger";
import type { Clock } from "../../store/clock.ts";
import type { WebhookDeliveryRow, WebhookRow } from "../../store/schema.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import { type AttemptResult, decideAfterAttempt, isSuccess } from "./model.ts";
import { endAttempt, findWebhook, setFailingSince, updateWebhook } from "./store.ts";

export interface RecordDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: { readonly disableAfterMs: number };
  readonly random: () => number;
}

export interface MadeAttempt {
  readonly webhookId: string;
  readonly delivery: WebhookDeliveryRow;
  /** With which the delivery was claimed. */
  readonly lostAt: number;
  readonly result: AttemptResult;
}

/** Writes down how an attempt went, plans the next one, and disables a webhook whose receiver took nothing for days. */
export async function recordAttempt(
  deps: RecordDeps,
  { webhookId, delivery, lostAt, result }: MadeAttempt,
): Promise<void> {
  const { store, clock, log, settings, random } = deps;
  const at = clock.now();
  const after = decideAfterAttempt(result, delivery.attempts, at, random());
  await store.write(async (tx) => {
    if (!(await endAttempt(tx, delivery.id, lostAt, { ...result, ...after, at }))) return;
    const webhook = await findWebhook(tx, webhookId, store.sql.forUpdate);
    if (webhook?.status !== "active") return;
    const since = isSuccess(result) ? null : (webhook.failing_since ?? at);
    if (since !== null && at - since >= settings.disableAfterMs) {
      await disable(tx, { ...webhook, failing_since: since }, result.error ?? "", at);
      tx.afterCommit(() =>
        log.warn({ webhook_id: webhookId }, "a webhook was disabled: its receiver took nothing for days"),
      );
    } else if (since !== webhook.failing_since) await setFailingSince(tx, webhookId, since);
  });
}

async function disable(tx: WriteTx, webhook: WebhookRow, error: string, at: number): Promise<void> {
  const since = new Date(webhook.failing_since ?? at).toISOString();
  const reason = `no delivery succeeded since ${since}; at last: ${error}`;
  await updateWebhook(tx, { ...webhook, status: "disabled", disabled_reason: reason, updated_at: at });
  tx.record({
    workspaceId: webhook.workspace_id,
    projectId: null,
    runId: null,
    type: "webhook.disabled",
    payload: { webhook_id: webhook.id, reason },
    createdAt: at,
  });
}
