import type { Clock } from "../../../store/clock.ts";
import type { ConnectionRow } from "../../../store/schema.ts";
import type { Store, WriteTx } from "../../../store/store.ts";
import { type StoreDelivery, waitForSync } from "../../triggers/public.ts";
import { GITHUB_PROVIDER, type GitHubConnectionSettings, githubSettingsOf } from "../model.ts";
import { type ProjectOfConnection, updateConnection } from "../store.ts";
import { type Syncs, syncProjects } from "../sync-projects.ts";
import type { GitHubApp } from "./app.ts";
import { decideConnection, repositoriesToSync } from "./decide.ts";
import type { Delivery } from "./delivery.ts";
import { repositoryExternalId } from "./sources.ts";
import { findInstallation } from "./store.ts";
import { readRepository } from "./repository.ts";
import { isUntrusted } from "./trust.ts";

export interface ReceiveDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeDelivery: StoreDelivery;
  readonly app: GitHubApp;
  readonly syncs: Syncs;
}

/**
 * Stores a delivery as a trigger event, and what it changes, in one transaction. A repeated delivery, one of an unknown
 * installation and one of a connection that is not active change nothing.
 */
export async function receiveDelivery(deps: ReceiveDeps, delivery: Delivery): Promise<void> {
  const { store, clock, syncs, storeDelivery } = deps;
  const { installationId, body } = delivery;
  if (installationId === null) return;
  const now = clock.now();
  const untrusted = isUntrusted(delivery.event, body);
  await store.write(async (tx) => {
    const connection = await findInstallation(tx, installationId, store.sql.forUpdate);
    if (!connection) return;
    // A suspended installation is only heard to learn that it is not any more.
    if (connection.lifecycle_status === "active") {
      const { id, duplicate } = await storeDelivery(tx, {
        workspaceId: connection.workspace_id,
        provider: GITHUB_PROVIDER,
        source: connection.slug,
        event: delivery.name,
        deliveryId: delivery.id,
        connectionId: connection.id,
        payload: body,
        untrusted,
        repository: readRepository(body, now),
        receivedAt: now,
      });
      if (duplicate) return;
      const changed = new Set(repositoriesToSync(delivery.event, body).map(repositoryExternalId));
      const concerns = (project: ProjectOfConnection) => changed.has(project.external_repository_id);
      if (changed.size > 0 && (await syncProjects(tx, syncs, connection.id, now, concerns)) > 0)
        await waitForSync(tx, id, now);
    }
    await changeConnection(tx, deps, connection, delivery, now);
  });
}

async function changeConnection(
  tx: WriteTx,
  { app, syncs }: ReceiveDeps,
  connection: ConnectionRow,
  delivery: Delivery,
  now: number,
): Promise<void> {
  const change = decideConnection(connection.lifecycle_status, delivery.event, delivery.body);
  if (!change) return;
  const settings = githubSettingsOf(connection);
  const renamed: GitHubConnectionSettings = {
    ...settings,
    ...(change.login ? { accountUrl: `${app.settings.webUrl}/${change.login.now}` } : {}),
  };
  const hasOldName = connection.display_name === `GitHub ${change.login?.before}`;
  await updateConnection(tx, {
    ...connection,
    lifecycle_status: change.lifecycleStatus,
    // A name that somebody gave it stays.
    display_name: change.login && hasOldName ? `GitHub ${change.login.now}` : connection.display_name,
    settings: JSON.stringify(renamed),
    updated_at: now,
  });
  if (change.lifecycleStatus === "active" && connection.lifecycle_status !== "active")
    await syncProjects(tx, syncs, connection.id, now);
  tx.afterCommit(() => app.forgetTokens(Number(connection.external_account_id)));
}
