import { randomUUID } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import { isSignedWebhook, type SignatureHeaders } from "../../../http/webhook-signature.ts";
import type { Clock } from "../../../store/clock.ts";
import type { ConnectionRow } from "../../../store/schema.ts";
import type { Store } from "../../../store/store.ts";
import { type Envelope, openSecrets } from "../../secrets/public.ts";
import type { StoreDelivery } from "../../triggers/public.ts";
import { WEBHOOK_PROVIDER } from "../model.ts";
import { secretContext } from "../sources.ts";
import type { CallRate } from "./call-rate.ts";
import { noSuchConnection } from "./connections.ts";
import { deliveryIdOf, readCall, type WebhookCall } from "./read-call.ts";
import { findWebhookConnection } from "./store.ts";

export interface ReceiveDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeDelivery: StoreDelivery;
  readonly envelope: Envelope;
  readonly rate: CallRate;
}

/**
 * Takes a call of a custom webhook: verified, then stored, then acknowledged with the id of the delivery. An id that the
 * connection sent before changes nothing.
 *
 * Throws 404 `not-found` for a connection that is unknown or not active, 401 `unauthorized` for a call that is not signed
 * as it must be, 429 `rate-limited`, and 400 for a call that cannot be read.
 */
export async function receiveCall(deps: ReceiveDeps, connectionId: string, call: WebhookCall): Promise<string> {
  const { store, clock, rate, storeDelivery } = deps;
  const now = clock.now();
  const connection = requireActive(await store.read((tx) => findWebhookConnection(tx, connectionId)));
  requireSignature(deps, connection, call, now);
  const wait = rate.take(connection.id);
  if (wait !== null) throw rateLimited(wait);
  const deliveryId = deliveryIdOf(call.headers, connection.sealed_credential !== null) ?? randomUUID();
  const payload = readCall(call);
  await store.write(async (tx) => {
    // Again: it may have been disabled meanwhile, and what is acknowledged must be shown in its workspace.
    const current = requireActive(await findWebhookConnection(tx, connection.id));
    await storeDelivery(tx, {
      workspaceId: current.workspace_id,
      provider: WEBHOOK_PROVIDER,
      source: current.slug,
      event: "received",
      deliveryId,
      connectionId: current.id,
      payload,
      untrusted: false,
      receivedAt: now,
    });
  });
  return deliveryId;
}

function requireActive(connection: ConnectionRow | undefined): ConnectionRow {
  if (connection?.lifecycle_status !== "active") throw noSuchConnection();
  return connection;
}

function requireSignature({ envelope }: ReceiveDeps, connection: ConnectionRow, call: WebhookCall, now: number): void {
  if (connection.sealed_credential === null) return;
  const secrets = openSecrets(envelope, secretContext(connection), connection.sealed_credential, now);
  if (isSignedWebhook(secrets, call.headers as Partial<SignatureHeaders>, call.body, now)) return;
  // Not what is wrong with it: that would help to guess.
  throw new ApiError("unauthorized", "the call must be signed with the connection's secret; see docs/integrations.md");
}

function rateLimited(seconds: number): ApiError {
  return new ApiError("rate-limited", `the webhook takes no more calls for ${seconds} s`, {
    details: { retry_after_seconds: seconds },
    headers: { "retry-after": String(seconds) },
  });
}
