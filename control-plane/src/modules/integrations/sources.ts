import { ApiError } from "@shipfox/shared/errors";
import type { ConnectionRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { Envelope, SealedColumn } from "../secrets/public.ts";
import type { GitCredential } from "./git-environment.ts";
import type { GitHubSources } from "./github/sources.ts";
import {
  type GitSecrets,
  gitRepositoryNamed,
  GITHUB_PROVIDER,
  repositoryOf,
  requireActive,
  settingsOf,
} from "./model.ts";
import type { Located, LocatedProject } from "./located.ts";
import { GIT_PROVIDER, repositoryId, type UrlSettings } from "./repository-url.ts";
import { findConnection, findProjectSource } from "./store.ts";

export const sealedCredentials: SealedColumn = {
  table: "connections",
  key: ["id"],
  column: "sealed_credential",
  beside: ["workspace_id"],
  context: ({ id = "", workspace_id = "" }) => secretContext({ id, workspace_id }),
};

export interface SourcesDeps {
  readonly envelope: Envelope;
  readonly urls: UrlSettings;
  /** Null when no GitHub App is configured. */
  readonly github: GitHubSources | null;
}

/** Which repository is read with which credential. */
export class Sources {
  readonly #deps: SourcesDeps;

  constructor(deps: SourcesDeps) {
    this.#deps = deps;
  }

  /** For a project to be. Throws 404 `source-connection-not-found`, 422 for a connection without use, 400 `invalid-repository-url`. */
  async ofConnection(
    tx: Tx,
    request: { workspaceId: string; connectionId: string; externalId: string },
  ): Promise<Located> {
    const connection = await findConnection(tx, request.connectionId);
    if (connection?.workspace_id !== request.workspaceId) {
      throw new ApiError(
        "source-connection-not-found",
        "there is no such connection in this workspace; list its connections for those that exist",
      );
    }
    return this.locate(connection, request.externalId);
  }

  /** Throws 404 `project-not-found` and what `ofConnection` throws. */
  async ofProject(tx: Tx, projectId: string): Promise<LocatedProject> {
    const row = await findProjectSource(tx, projectId);
    if (!row) throw new ApiError("project-not-found", "there is no such project");
    return { ...this.locate(row, row.external_repository_id), defaultBranch: row.default_branch };
  }

  /** Throws what `ofConnection` throws. */
  locate(connection: ConnectionRow, externalId: string): Located {
    switch (connection.provider) {
      case GIT_PROVIDER: {
        requireActive(connection);
        const repository = repositoryOf(connection, externalId, this.#deps.urls);
        return {
          externalId: repositoryId(repository),
          open: async () => ({ repository, credential: this.#credential(connection), expiresAt: null }),
        };
      }
      case GITHUB_PROVIDER: {
        const { github } = this.#deps;
        if (!github) throw notConfigured();
        requireActive(connection);
        return github.locate(connection, externalId);
      }
      default:
        throw withoutSourceCode();
    }
  }

  /**
   * The external id of the repository that a workflow calls `name`: what it is called at its host, or that id. GitHub is asked,
   * so never inside of a unit. Throws what `ofConnection` throws, and 422 `repository-not-found`.
   */
  async repositoryNamed(connection: ConnectionRow, name: string): Promise<string> {
    switch (connection.provider) {
      case GIT_PROVIDER:
        return gitRepositoryNamed(connection, name);
      case GITHUB_PROVIDER: {
        const { github } = this.#deps;
        if (!github) throw notConfigured();
        requireActive(connection);
        return await github.named(connection, name);
      }
      default:
        throw withoutSourceCode();
    }
  }

  #credential(connection: ConnectionRow): GitCredential {
    const { username } = settingsOf(connection);
    if (connection.sealed_credential === null) return { username, token: null, sshKey: null };
    const opened = this.#deps.envelope.open(connection.sealed_credential, secretContext(connection));
    return { username, ...(JSON.parse(opened) as GitSecrets) };
  }
}

function withoutSourceCode(): ApiError {
  return new ApiError(
    "integration-capability-unavailable",
    "this connection does not serve source code; use a git or GitHub connection",
  );
}

export function notConfigured(): ApiError {
  return new ApiError(
    "integration-provider-unavailable",
    "this server has no GitHub App any more; an operator sets SHIPFOX_GITHUB_APP_ID and what belongs to it",
  );
}

/** What a connection's credential is bound to when it is sealed. */
export function secretContext({ id, workspace_id }: Pick<ConnectionRow, "id" | "workspace_id">) {
  return { workspaceId: workspace_id, name: `connection/${id}` };
}
