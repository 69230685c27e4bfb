import type { Clock } from "../../../store/clock.ts";
import type { Store } from "../../../store/store.ts";
import type { StoreDelivery } from "../../triggers/public.ts";
import { SENTRY_PROVIDER } from "../model.ts";
import { updateConnection } from "../store.ts";
import type { SentryDelivery } from "./delivery.ts";
import { normaliseIssue } from "./normalise-issue.ts";
import { findHearing, findInstallation } from "./store.ts";

export interface SentryReceiveDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeDelivery: StoreDelivery;
}

/**
 * Stores what happened to an issue as a trigger event, and ends the connection of an installation that was removed. Everything
 * else, a repeat, and what comes for a connection that is unknown or not active, or whose workspace is not, changes nothing.
 */
export async function receiveDelivery(deps: SentryReceiveDeps, delivery: SentryDelivery): Promise<void> {
  if (delivery.installationId === null) return;
  if (delivery.resource === "issue") await storeIssue(deps, delivery, delivery.installationId);
  if (delivery.resource === "installation" && delivery.action === "deleted") {
    await endConnection(deps, delivery.installationId);
  }
}

async function storeIssue(
  { store, clock, storeDelivery }: SentryReceiveDeps,
  delivery: SentryDelivery,
  installationId: string,
): Promise<void> {
  const payload = normaliseIssue(delivery.body);
  if (!payload) return;
  const receivedAt = clock.now();
  await store.write(async (tx) => {
    const connection = await findHearing(tx, installationId);
    if (!connection) return;
    await storeDelivery(tx, {
      workspaceId: connection.workspace_id,
      provider: SENTRY_PROVIDER,
      source: connection.slug,
      event: `issue.${payload.action}`,
      deliveryId: delivery.id,
      connectionId: connection.id,
      payload,
      untrusted: false,
      receivedAt,
    });
  });
}

/** The row stays, so that its slug does, and goes on when the integration is installed again. */
async function endConnection(
  { store, clock }: Pick<SentryReceiveDeps, "store" | "clock">,
  installationId: string,
): Promise<void> {
  const now = clock.now();
  await store.write(async (tx) => {
    const connection = await findInstallation(tx, installationId, store.sql.forUpdate);
    if (!connection) return;
    await updateConnection(tx, { ...connection, lifecycle_status: "error", updated_at: now });
  });
}
