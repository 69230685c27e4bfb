import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { type Access, requireAbility } from "../../../http/access.ts";
import type { Caller } from "../../../http/caller.ts";
import type { Clock } from "../../../store/clock.ts";
import { ConstraintError } from "../../../store/errors.ts";
import type { ConnectionRow } from "../../../store/schema.ts";
import type { Store, WriteTx } from "../../../store/store.ts";
import { SENTRY_PROVIDER, type SentryConnectionSettings, sentrySettingsOf } from "../model.ts";
import { insertConnection, listConnections, updateConnection } from "../store.ts";
import type { SentryApi } from "./sentry-api.ts";
import type { SentrySettings } from "./settings.ts";
import { findInstallation } from "./store.ts";

const MAX_SLUGS = 50;
const IN_PROGRESS_WAIT_SECONDS = 2;

export interface SentryDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly settings: SentrySettings;
  readonly api: SentryApi;
}

export interface SentryClaim {
  readonly workspaceId: string;
  readonly code: string;
  readonly installationId: string;
}

/** Installations that are being claimed by this process: Sentry takes each code once. */
const underWay = new Set<string>();

/** Where a person's browser installs the integration. Throws 403 `forbidden`. */
export async function startInstall(
  { store, access, settings }: SentryDeps,
  caller: Caller,
  workspaceId: string,
): Promise<string> {
  await store.read((tx) => requireAbility(access, tx, caller, workspaceId));
  return `${settings.url}/sentry-apps/${settings.appSlug}/external-install/`;
}

/**
 * Links an installation to a workspace: whoever has its code has installed it, which Sentry confirms. Nothing of Sentry's is
 * kept but the names. The same one again gives the connection it has.
 *
 * Throws 403 `forbidden` and `sentry-claim-proof-mismatch`, 409 `sentry-installation-already-linked`,
 * `sentry-installation-deleted` and `slug-conflict`, 503 `sentry-verification-in-progress`, and what `SentryApi` throws.
 */
export async function connectSentry(deps: SentryDeps, caller: Caller, claim: SentryClaim): Promise<ConnectionRow> {
  const { store, access } = deps;
  await store.read((tx) => requireAbility(access, tx, caller, claim.workspaceId));
  if (underWay.has(claim.installationId)) {
    throw new ApiError("sentry-verification-in-progress", "this installation is being linked; try again in a moment", {
      details: { retry_after_seconds: IN_PROGRESS_WAIT_SECONDS },
      headers: { "retry-after": String(IN_PROGRESS_WAIT_SECONDS) },
    });
  }
  underWay.add(claim.installationId);
  try {
    // Only now: what ended just before has stored its connection.
    const known = await store.read((tx) => findInstallation(tx, claim.installationId));
    return known ? sameConnection(known, claim.workspaceId) : await claimInstallation(deps, caller, claim);
  } finally {
    underWay.delete(claim.installationId);
  }
}

async function claimInstallation(deps: SentryDeps, caller: Caller, claim: SentryClaim): Promise<ConnectionRow> {
  const { store, clock, access, settings, api } = deps;
  const token = await api.exchangeCode(claim.installationId, claim.code);
  const { organization } = await api.confirm(claim.installationId, token);
  const now = clock.now();
  const ofConnection: SentryConnectionSettings = {
    organization,
    url: `${settings.url}/organizations/${encodeURIComponent(organization)}/`,
  };
  const fresh: Omit<ConnectionRow, "slug"> = {
    id: newId(now),
    workspace_id: claim.workspaceId,
    provider: SENTRY_PROVIDER,
    external_account_id: claim.installationId,
    display_name: `Sentry ${organization}`,
    lifecycle_status: "active",
    settings: JSON.stringify(ofConnection),
    sealed_credential: null,
    created_at: now,
    updated_at: now,
  };
  try {
    return await store.write(async (tx) => {
      await requireAbility(access, tx, caller, claim.workspaceId);
      const known = await findInstallation(tx, claim.installationId);
      if (known) return sameConnection(known, claim.workspaceId);
      const connection = (await relink(tx, fresh, organization)) ?? (await link(tx, fresh, organization));
      await tx.audit(caller, {
        workspaceId: claim.workspaceId,
        action: "connection.created",
        target: { type: "connection", id: connection.id, name: connection.display_name },
        details: { provider: SENTRY_PROVIDER, installation_id: claim.installationId },
      });
      return connection;
    });
  } catch (error) {
    // Another process linked it between our look and our insert.
    if (error instanceof ConstraintError && error.kind === "unique") throw alreadyLinked();
    throw error;
  }
}

/** The integration was removed from the organisation and installed anew: the connection goes on with that one. */
async function relink(
  tx: WriteTx,
  fresh: Omit<ConnectionRow, "slug">,
  organization: string,
): Promise<ConnectionRow | null> {
  const lost = (await listConnections(tx, fresh.workspace_id)).find(
    (row) =>
      row.provider === SENTRY_PROVIDER &&
      row.lifecycle_status === "error" &&
      sentrySettingsOf(row).organization === organization,
  );
  if (!lost) return null;
  const { external_account_id, lifecycle_status, settings, updated_at } = fresh;
  const linked = { ...lost, external_account_id, lifecycle_status, settings, updated_at };
  await updateConnection(tx, linked);
  return linked;
}

async function link(tx: WriteTx, fresh: Omit<ConnectionRow, "slug">, organization: string): Promise<ConnectionRow> {
  const base = `${SENTRY_PROVIDER}_${organization
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "")}`;
  for (let number = 1; number <= MAX_SLUGS; number += 1) {
    const slug = number === 1 ? base : `${base}_${number}`;
    if (await insertConnection(tx, { ...fresh, slug })) return { ...fresh, slug };
  }
  throw new ApiError("slug-conflict", "too many connections have this name; rename or remove one of them");
}

function sameConnection(known: ConnectionRow, workspaceId: string): ConnectionRow {
  if (known.workspace_id !== workspaceId) throw alreadyLinked();
  if (known.lifecycle_status === "error") {
    throw new ApiError(
      "sentry-installation-deleted",
      "Sentry says that this installation was removed; install it again",
    );
  }
  return known;
}

function alreadyLinked(): ApiError {
  return new ApiError(
    "sentry-installation-already-linked",
    "another workspace has this installation; delete its connection there first",
  );
}
