import { randomUUID } from "node:crypto";
import type { z } from "zod";
import {
  type createWebhookConnectionBodySchema,
  type updateWebhookConnectionBodySchema,
  type WebhookConnection,
  webhookConnectionSchema,
} from "@shipfox/shared/api/webhook-connections";
import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireAbility, requireVisible } from "../../../http/access.ts";
import type { Caller } from "../../../http/caller.ts";
import { isWebhookSecret } from "../../../http/webhook-signature.ts";
import type { Clock } from "../../../store/clock.ts";
import type { ConnectionRow } from "../../../store/schema.ts";
import type { Store, WriteTx } from "../../../store/store.ts";
import { type Envelope, sealNextSecret } from "../../secrets/public.ts";
import { WEBHOOK_PROVIDER } from "../model.ts";
import { secretContext } from "../sources.ts";
import { insertConnection } from "../store.ts";
import { lockWebhookConnection, removeWebhookConnection, updateWebhookConnection } from "./store.ts";

export interface WebhookConnectionsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly envelope: Envelope;
}

/** Makes a connection. Its id is in its URL, which is its credential, so it is wholly random, other than all other ids. */
export async function createWebhookConnection(
  { store, clock, access, envelope }: WebhookConnectionsDeps,
  caller: Caller,
  body: z.output<typeof createWebhookConnectionBodySchema>,
): Promise<ConnectionRow> {
  const now = clock.now();
  const identity = { id: randomUUID(), workspace_id: body.workspace_id };
  const row: ConnectionRow = {
    ...identity,
    provider: WEBHOOK_PROVIDER,
    external_account_id: body.slug,
    slug: body.slug,
    display_name: body.name,
    lifecycle_status: "active",
    settings: "{}",
    sealed_credential:
      body.secret === undefined ? null : seal(envelope, identity, body.secret, { sealedBefore: null, now }),
    created_at: now,
    updated_at: now,
  };
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, body.workspace_id);
    if (!(await insertConnection(tx, row))) {
      throw new ApiError(
        "slug-already-exists",
        `the workspace has a connection with the slug ${body.slug}; choose another`,
      );
    }
    await audit(tx, caller, row, "connection.created", { signed: row.sealed_credential !== null });
    return row;
  });
}

/** Enables, disables, or changes the secret. */
export async function changeWebhookConnection(
  { store, clock, access, envelope }: WebhookConnectionsDeps,
  caller: Caller,
  connectionId: string,
  { lifecycle_status: status, secret }: z.output<typeof updateWebhookConnectionBodySchema>,
): Promise<ConnectionRow> {
  const now = clock.now();
  return store.write(async (tx) => {
    const before = await lockWebhookConnection(tx, store.sql.forUpdate, connectionId);
    if (!before) throw noSuchConnection();
    await requireVisible(access, tx, caller, before.workspace_id, noSuchConnection);
    const sealed =
      secret === undefined
        ? before.sealed_credential
        : secret === null
          ? null
          : seal(envelope, before, secret, { sealedBefore: before.sealed_credential, now });
    const lifecycleStatus = status ?? before.lifecycle_status;
    const row = { ...before, lifecycle_status: lifecycleStatus, sealed_credential: sealed, updated_at: now };
    await updateWebhookConnection(tx, row);
    const details = {
      lifecycle_status: row.lifecycle_status,
      signed: sealed !== null,
      new_secret: typeof secret === "string",
    };
    await audit(tx, caller, row, "connection.updated", details);
    return row;
  });
}

export async function deleteWebhookConnection(
  { store, access }: WebhookConnectionsDeps,
  caller: Caller,
  connectionId: string,
): Promise<void> {
  await store.write(async (tx) => {
    const row = await lockWebhookConnection(tx, store.sql.forUpdate, connectionId);
    if (!row) throw noSuchConnection();
    await requireVisible(access, tx, caller, row.workspace_id, noSuchConnection);
    await removeWebhookConnection(tx, connectionId);
    await audit(tx, caller, row, "connection.deleted", {});
  });
}

export function presentWebhookConnection(row: ConnectionRow, publicUrl: string): WebhookConnection {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    name: row.display_name,
    slug: row.slug,
    lifecycle_status: webhookConnectionSchema.shape.lifecycle_status.parse(row.lifecycle_status),
    inbound_url: `${publicUrl}/webhook/${row.id}`,
    signed: row.sealed_credential !== null,
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}

export function noSuchConnection(): ApiError {
  return new ApiError("not-found", "there is no such webhook connection");
}

function seal(
  envelope: Envelope,
  identity: Pick<ConnectionRow, "id" | "workspace_id">,
  secret: string,
  options: { sealedBefore: string | null; now: number },
): string {
  if (!isWebhookSecret(secret)) {
    const expected = "must be whsec_ and 24 to 64 random bytes in base64, as `openssl rand -base64 32` makes them";
    throw new ApiError("validation-error", `[body] secret: ${expected}`);
  }
  return sealNextSecret(envelope, secretContext(identity), secret, options);
}

async function audit(
  tx: WriteTx,
  caller: Caller,
  row: ConnectionRow,
  action: string,
  details: Record<string, unknown>,
): Promise<void> {
  const target = { type: "connection", id: row.id, name: row.display_name };
  const about = { provider: WEBHOOK_PROVIDER, ...details };
  await tx.audit(caller, { workspaceId: row.workspace_id, action, target, details: about });
}
