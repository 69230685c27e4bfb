import { OWN_SOURCES } from "@shipfox/shared/api/webhook-connections";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { ConnectionRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import type { Envelope } from "../secrets/public.ts";
import { slugCandidates } from "../workspaces/public.ts";
import { checkGitConnection, type GitConnectionRequest, type GitSecrets, type GitSettings } from "./model.ts";
import { GIT_PROVIDER, type UrlSettings } from "./repository-url.ts";
import { secretContext } from "./sources.ts";
import { insertConnection } from "./store.ts";

export interface ConnectionsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly envelope: Envelope;
  readonly urls: UrlSettings;
}

export interface CreateConnectionRequest extends GitConnectionRequest {
  readonly caller: Caller;
  readonly workspaceId: string;
  readonly name: string;
}

/** Stores a git connection, its credential sealed. Whoever manages the workspace may; nothing is contacted yet. */
export async function createGitConnection(
  deps: ConnectionsDeps,
  request: CreateConnectionRequest,
): Promise<ConnectionRow> {
  const { store, clock, access, envelope } = deps;
  const base = checkGitConnection(request, deps.urls);
  const now = clock.now();
  const settings: GitSettings = { baseUrl: base?.url ?? null, username: request.username };
  const secrets: GitSecrets = { token: request.token, sshKey: request.sshKey };
  const identity = { id: newId(now), workspace_id: request.workspaceId };
  const hasSecret = secrets.token !== null || secrets.sshKey !== null;
  const connection: Omit<ConnectionRow, "slug"> = {
    ...identity,
    provider: GIT_PROVIDER,
    external_account_id: base?.url ?? GIT_PROVIDER,
    display_name: request.name,
    lifecycle_status: "active",
    settings: JSON.stringify(settings),
    sealed_credential: hasSecret ? envelope.seal(JSON.stringify(secrets), secretContext(identity)) : null,
    created_at: now,
    updated_at: now,
  };
  const candidates = slugCandidates(request.name, GIT_PROVIDER).filter((slug) => !OWN_SOURCES.includes(slug));
  return store.write(async (tx) => {
    await requireAbility(access, tx, request.caller, request.workspaceId);
    for (const slug of candidates) {
      if (!(await insertConnection(tx, { ...connection, slug }))) continue;
      await tx.audit(request.caller, {
        workspaceId: request.workspaceId,
        action: "connection.created",
        target: { type: "connection", id: connection.id, name: connection.display_name },
        details: { provider: GIT_PROVIDER },
      });
      return { ...connection, slug };
    }
    throw new ApiError("slug-conflict", "too many connections have this name; choose another one");
  });
}
