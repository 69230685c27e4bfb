import type { Client } from "@shipfox/client";
import { ClientError } from "@shipfox/client/client-error";
import type { Connection } from "@shipfox/shared/api/integrations";
import { usageError } from "./cli-error.ts";
import type { RepositoryUrl } from "./repository-url.ts";

export interface GitCredential {
  username?: string;
  token?: string;
  ssh_key?: string;
}

export interface GitConnectionRequest {
  workspaceId: string;
  repository: RepositoryUrl;
  /** Slug, id or name of a connection that is there already. */
  connection?: string;
  credential: GitCredential | null;
}

export interface EnsuredConnection {
  readonly connection: Connection;
  /** Nothing uses it yet. */
  readonly isNew: boolean;
}

/**
 * The git connection that serves a repository: the named one; with a credential a new one; else the one that is called
 * like the repository's host, made when it is missing.
 */
export async function ensureGitConnection(api: Client, request: GitConnectionRequest): Promise<EnsuredConnection> {
  const { workspaceId, repository, connection, credential } = request;
  const { connections: known } = await api.integrations.connections({
    workspace_id: workspaceId,
    capability: "source_control",
  });
  if (connection !== undefined) return { connection: findConnection(known, connection), isNew: false };
  if (credential === null) {
    const usable = known.find(
      (candidate) =>
        candidate.provider === "git" &&
        candidate.lifecycle_status === "active" &&
        candidate.display_name === repository.host,
    );
    if (usable) return { connection: usable, isNew: false };
  }
  const made = await api.integrations.connectGit({
    workspace_id: workspaceId,
    name: repository.host,
    // A credential is bound to its host, so that no other repository URL can draw it out.
    ...(credential === null || repository.origin === null ? {} : { base_url: repository.origin }),
    ...credential,
  });
  return { connection: made, isNew: true };
}

/** Takes a connection back that nothing came of, and its credential with it. One that is in use after all stays. */
export async function takeBack(api: Client, { id }: Connection): Promise<void> {
  try {
    await api.integrations.deleteConnection({ connectionId: id });
  } catch (error) {
    // What went wrong before is what the user has to know.
    if (!(error instanceof ClientError)) throw error;
  }
}

function findConnection(connections: readonly Connection[], reference: string): Connection {
  const found = connections.find(({ id, slug, display_name }) => [id, slug, display_name].includes(reference));
  if (found) return found;
  const slugs = connections.map(({ slug }) => slug).join(", ") || "none";
  throw usageError(`There is no connection "${reference}"; there is: ${slugs}.`, "leave --connection out to make one");
}
