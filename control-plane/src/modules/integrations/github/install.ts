import { randomBytes } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { type Access, requireAbility } from "../../../http/access.ts";
import type { Caller } from "../../../http/caller.ts";
import type { Clock } from "../../../store/clock.ts";
import { ConstraintError } from "../../../store/errors.ts";
import type { ConnectionRow } from "../../../store/schema.ts";
import type { Store, WriteTx } from "../../../store/store.ts";
import { GITHUB_PROVIDER, type GitHubConnectionSettings, githubSettingsOf } from "../model.ts";
import { insertConnection, listConnections, updateConnection } from "../store.ts";
import { type Syncs, syncProjects } from "../sync-projects.ts";
import type { GitHubApp, GitHubInstallation } from "./app.ts";
import { invalidState, signInstallState, verifyInstallState } from "./install-state.ts";
import { findInstallation, followEvents, noteState } from "./store.ts";

/** Numbers tried after the plain slug before a random ending settles it. */
const MAX_NUMBER = 20;
export const INSTALLED = "connection.created";
const RANDOM_BYTES = 4;

export interface InstallDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly app: GitHubApp;
  readonly syncs: Syncs;
  /** A workspace has its first GitHub connection, or another one. */
  readonly onLinked: (workspaceId: string) => void;
}

/** Where a person's browser installs the app for a workspace. Throws 403 `forbidden`. */
export async function startInstall(
  { store, clock, access, app }: InstallDeps,
  caller: Caller,
  workspaceId: string,
): Promise<string> {
  await store.read((tx) => requireAbility(access, tx, caller, workspaceId));
  const { appUrl, stateKeys } = app.settings;
  const state = signInstallState(stateKeys, { workspaceId, userId: caller.userId }, clock.now());
  return `${appUrl}/installations/new?state=${state}`;
}

/**
 * Links an installation to the workspace for which it was started. The same one again gives the connection it has.
 *
 * Throws 400 `invalid-github-install-state`, 403 `github-install-state-actor-mismatch`,
 * `github-installation-not-authorized` and `forbidden`, 409 `github-installation-already-linked` and `slug-conflict`,
 * 422 `installation-not-found`, and what GitHub answers.
 */
export async function finishInstall(
  deps: InstallDeps,
  caller: Caller,
  { code, installationId, state: text }: { code: string; installationId: number; state: string },
): Promise<ConnectionRow> {
  const { store, clock, access, app } = deps;
  const state = verifyInstallState(app.settings.stateKeys, text, clock.now());
  if (state.userId !== caller.userId) {
    throw new ApiError(
      "github-install-state-actor-mismatch",
      "another account started this installation; sign in as that one, or start it again",
    );
  }
  await store.read((tx) => requireAbility(access, tx, caller, state.workspaceId));
  await requireWholeInstallation(app, code, installationId);
  const installation = await app.installation(installationId);

  const now = clock.now();
  const id = newId(now);
  const candidates = slugsOf(installation.account.login);
  try {
    return await store.write(async (tx) => {
      await requireAbility(access, tx, caller, state.workspaceId);
      if (!(await noteState(tx, state, now)))
        throw invalidState("this installation was finished already; start it again");
      const linked = await findInstallation(tx, installationId);
      const fresh = newConnection(app, installation, { id, workspaceId: state.workspaceId, now });
      if (linked) return linkedBefore(tx, deps.syncs, linked, fresh);
      const connection = (await relink(tx, deps.syncs, fresh)) ?? (await link(tx, fresh, candidates));
      await followEvents(tx, state.workspaceId);
      tx.afterCommit(() => deps.onLinked(state.workspaceId));
      await tx.audit(caller, {
        workspaceId: state.workspaceId,
        action: INSTALLED,
        target: { type: "connection", id: connection.id, name: connection.display_name },
        details: { provider: GITHUB_PROVIDER, installation_id: installationId },
      });
      return connection;
    });
  } catch (error) {
    // Somebody else linked it between our look and our insert.
    if (!(error instanceof ConstraintError) || error.kind !== "unique") throw error;
    const linked = await store.read((tx) => findInstallation(tx, installationId));
    if (linked?.workspace_id !== state.workspaceId) throw alreadyLinked();
    return linked;
  }
}

/**
 * Whoever links an installation gives its repositories to a workspace, so he must see all of them himself: a member of the
 * organisation who sees only some must not reach the others this way.
 */
async function requireWholeInstallation(app: GitHubApp, code: string, installationId: number): Promise<void> {
  const userToken = await app.exchangeCode(code);
  if (userToken === null) throw notAuthorized("GitHub does not accept the code any more; start the installation again");
  const visible = await app.countVisibleTo(userToken, installationId);
  if (visible === null) throw notAuthorized("GitHub does not show this installation to you");
  const { total_count: all } = await app.repositories(installationId, { number: 1, size: 1 });
  if (visible < all) {
    throw notAuthorized(
      `you see ${visible} of the ${all} repositories of this installation; somebody who sees all of them must link it`,
    );
  }
}

/**
 * The app was removed from the account and installed anew, for an account has it once: the connection, with its projects,
 * goes on with the new installation.
 */
async function relink(tx: WriteTx, syncs: Syncs, fresh: Omit<ConnectionRow, "slug">): Promise<ConnectionRow | null> {
  const { accountId } = githubSettingsOf(fresh);
  const connections = await listConnections(tx, fresh.workspace_id);
  const lost = connections.find(
    (row) => row.provider === GITHUB_PROVIDER && githubSettingsOf(row).accountId === accountId,
  );
  if (!lost) return null;
  const { external_account_id, lifecycle_status, settings, updated_at } = fresh;
  const linked = { ...lost, external_account_id, lifecycle_status, settings, updated_at };
  await updateConnection(tx, linked);
  await syncProjects(tx, syncs, linked.id, updated_at);
  return linked;
}

async function link(
  tx: WriteTx,
  connection: Omit<ConnectionRow, "slug">,
  candidates: readonly string[],
): Promise<ConnectionRow> {
  for (const slug of candidates) {
    if (await insertConnection(tx, { ...connection, slug })) return { ...connection, slug };
  }
  throw new ApiError("slug-conflict", "too many connections have this name; rename or remove one of them");
}

function newConnection(
  app: GitHubApp,
  { id: installationId, account, suspended_at }: GitHubInstallation,
  { id, workspaceId, now }: { id: string; workspaceId: string; now: number },
): Omit<ConnectionRow, "slug"> {
  const settings: GitHubConnectionSettings = {
    accountId: account.id,
    accountUrl: `${app.settings.webUrl}/${account.login}`,
  };
  return {
    id,
    workspace_id: workspaceId,
    provider: GITHUB_PROVIDER,
    external_account_id: String(installationId),
    display_name: `GitHub ${account.login}`,
    lifecycle_status: suspended_at == null ? "active" : "error",
    settings: JSON.stringify(settings),
    sealed_credential: null,
    created_at: now,
    updated_at: now,
  };
}

/** The end of a suspension may have been told to nobody. */
async function linkedBefore(
  tx: WriteTx,
  syncs: Syncs,
  linked: ConnectionRow,
  fresh: Omit<ConnectionRow, "slug">,
): Promise<ConnectionRow> {
  if (linked.workspace_id !== fresh.workspace_id) throw alreadyLinked();
  if (linked.lifecycle_status !== "error") return linked;
  const known = { ...linked, lifecycle_status: fresh.lifecycle_status, updated_at: fresh.updated_at };
  await updateConnection(tx, known);
  if (known.lifecycle_status === "active") await syncProjects(tx, syncs, known.id, known.updated_at);
  return known;
}

/** `github_acme`, then `github_acme_2`: the words by which workflow files name the connection. */
function slugsOf(login: string): string[] {
  const base = `${GITHUB_PROVIDER}_${login
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "_")
    .replaceAll(/^_+|_+$/g, "")}`;
  const numbers = Array.from({ length: MAX_NUMBER - 1 }, (_, index) => String(index + 2));
  return [base, ...[...numbers, randomBytes(RANDOM_BYTES).toString("hex")].map((ending) => `${base}_${ending}`)];
}

function notAuthorized(message: string): ApiError {
  return new ApiError("github-installation-not-authorized", message);
}

function alreadyLinked(): ApiError {
  return new ApiError(
    "github-installation-already-linked",
    "another workspace has this installation; delete its connection there first",
  );
}
