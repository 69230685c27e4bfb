import type { z } from "zod";
import type { createWebhookBodySchema, updateWebhookBodySchema } from "@shipfox/shared/api/webhooks";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { WebhookRow } from "../../store/schema.ts";
import type { Store, Tx, WriteTx } from "../../store/store.ts";
import type { Envelope } from "../secrets/public.ts";
import { checkWebhookUrl } from "./model.ts";
import { makeSecret } from "./secrets.ts";
import { countWebhooks, deleteWebhook, findWebhook, insertWebhook, lastEventOf, updateWebhook } from "./store.ts";

const MAX_WEBHOOKS = 20;

export interface ManageDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly envelope: Envelope;
  readonly allowPrivate: boolean;
  /** A webhook was made or enabled, or a delivery was planned: look for it. */
  readonly wake: () => void;
}

export interface WebhookPlace {
  readonly workspaceId: string;
  readonly webhookId: string;
}

/** Makes a webhook that is told of the run events from now on; the secret is answered this once. */
export async function createWebhook(
  { store, clock, access, envelope, allowPrivate, wake }: ManageDeps,
  caller: Caller,
  workspaceId: string,
  body: z.output<typeof createWebhookBodySchema>,
): Promise<{ webhook: WebhookRow; secret: string }> {
  const url = checkWebhookUrl(body.url, allowPrivate);
  const now = clock.now();
  const identity = { id: newId(now), workspace_id: workspaceId };
  const { secret, sealed } = makeSecret(envelope, identity, null, now);
  const webhook = await store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    if ((await countWebhooks(tx, workspaceId)) >= MAX_WEBHOOKS) {
      const message = `the workspace has ${MAX_WEBHOOKS} webhooks, the most it may have; remove some`;
      throw new ApiError("webhooks-exhausted", message);
    }
    const row: WebhookRow = {
      ...identity,
      name: body.name ?? null,
      url,
      events: JSON.stringify(body.events),
      status: "active",
      disabled_reason: null,
      sealed_secrets: sealed,
      last_event: await lastEventOf(tx, workspaceId),
      failing_since: null,
      created_by: caller.userId,
      created_at: now,
      updated_at: now,
    };
    await insertWebhook(tx, row);
    await audit(tx, caller, row, "webhook.created", { host: new URL(url).host, events: body.events });
    tx.afterCommit(wake);
    return row;
  });
  return { webhook, secret };
}

/** Changes what the body names. Enabling starts with the events from now on; what waited before goes on. */
export async function changeWebhook(
  { store, clock, access, envelope, allowPrivate, wake }: ManageDeps,
  caller: Caller,
  place: WebhookPlace,
  body: z.output<typeof updateWebhookBodySchema>,
): Promise<{ webhook: WebhookRow; secret: string | null }> {
  const url = body.url === undefined ? null : checkWebhookUrl(body.url, allowPrivate);
  const now = clock.now();
  return store.write(async (tx) => {
    const before = await requireWebhook(access, tx, caller, place, store.sql.forUpdate);
    const made = body.rotate_secret ? makeSecret(envelope, before, before.sealed_secrets, now) : null;
    const isEnabled = body.status === "active" && before.status !== "active";
    const row: WebhookRow = {
      ...before,
      name: body.name === undefined ? before.name : body.name,
      url: url ?? before.url,
      events: body.events === undefined ? before.events : JSON.stringify(body.events),
      status: body.status ?? before.status,
      ...(body.status === undefined ? {} : { disabled_reason: null }),
      ...(isEnabled ? { failing_since: null, last_event: await lastEventOf(tx, place.workspaceId) } : {}),
      sealed_secrets: made?.sealed ?? before.sealed_secrets,
      updated_at: now,
    };
    await updateWebhook(tx, row);
    const changed = Object.keys(body).toSorted();
    await audit(tx, caller, row, "webhook.updated", { changed, ...(url === null ? {} : { host: new URL(url).host }) });
    tx.afterCommit(wake);
    return { webhook: row, secret: made?.secret ?? null };
  });
}

/** Removes a webhook with its deliveries; attempts that are under way still end. */
export async function removeWebhook({ store, access }: ManageDeps, caller: Caller, place: WebhookPlace): Promise<void> {
  await store.write(async (tx) => {
    const webhook = await requireWebhook(access, tx, caller, place, store.sql.forUpdate);
    await deleteWebhook(tx, webhook.id);
    await audit(tx, caller, webhook, "webhook.deleted", { host: new URL(webhook.url).host });
  });
}

/** The webhook, for a caller with the ability that the route needs. Throws 403 `forbidden`, 404 `not-found`. */
export async function requireWebhook(
  access: Access,
  tx: Tx,
  caller: Caller,
  { workspaceId, webhookId }: WebhookPlace,
  lock = "",
): Promise<WebhookRow> {
  await requireAbility(access, tx, caller, workspaceId);
  const webhook = await findWebhook(tx, webhookId, lock);
  if (webhook?.workspace_id !== workspaceId)
    throw new ApiError("not-found", "the workspace has no webhook with this id");
  return webhook;
}

/** The whole URL may hold a token of the receiver, so the audit log has its host only. */
export async function audit(
  tx: WriteTx,
  caller: Caller,
  webhook: WebhookRow,
  action: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  const target = { type: "webhook", id: webhook.id, name: webhook.name };
  await tx.audit(caller, { workspaceId: webhook.workspace_id, action, target, details });
}
