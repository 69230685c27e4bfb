import { ApiError } from "@shipfox/shared/errors";
import type { ConnectionRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import type { Envelope } from "../secrets/public.ts";
import type { GitSource } from "./git.ts";
import type { GitCredential } from "./git-environment.ts";
import { type GitSecrets, repositoryOf, settingsOf } from "./model.ts";
import type { UrlSettings } from "./repository-url.ts";
import { findConnection, findProjectSource } from "./store.ts";

export interface ProjectSource extends GitSource {
  readonly defaultBranch: string;
}

export interface SourcesDeps {
  readonly envelope: Envelope;
  readonly urls: UrlSettings;
}

/** Which repository is read with which credential. The results hold opened secrets: they go to git or to a runner, never further. */
export class Sources {
  readonly #deps: SourcesDeps;

  constructor(deps: SourcesDeps) {
    this.#deps = deps;
  }

  /** For a project to be. Throws 404 `source-connection-not-found`, 422 for a connection without use, 400 `invalid-repository-url`. */
  async ofConnection(
    tx: Tx,
    request: { workspaceId: string; connectionId: string; externalId: string },
  ): Promise<GitSource> {
    const connection = await findConnection(tx, request.connectionId);
    if (connection?.workspace_id !== request.workspaceId) {
      throw new ApiError(
        "source-connection-not-found",
        "there is no such connection in this workspace; list its connections for those that exist",
      );
    }
    return this.#source(connection, request.externalId);
  }

  /** Throws 404 `project-not-found` and what `ofConnection` throws. */
  async ofProject(tx: Tx, projectId: string): Promise<ProjectSource> {
    const row = await findProjectSource(tx, projectId);
    if (!row) throw new ApiError("project-not-found", "there is no such project");
    return { ...this.#source(row, row.external_repository_id), defaultBranch: row.default_branch };
  }

  #source(connection: ConnectionRow, externalId: string): GitSource {
    const repository = repositoryOf(connection, externalId, this.#deps.urls);
    return { repository, credential: this.#credential(connection) };
  }

  #credential(connection: ConnectionRow): GitCredential {
    const { username } = settingsOf(connection);
    if (connection.sealed_credential === null) return { username, token: null, sshKey: null };
    const opened = this.#deps.envelope.open(connection.sealed_credential, secretContext(connection));
    return { username, ...(JSON.parse(opened) as GitSecrets) };
  }
}

/** What a connection's credential is bound to when it is sealed. */
export function secretContext({ id, workspace_id }: Pick<ConnectionRow, "id" | "workspace_id">) {
  return { workspaceId: workspace_id, name: `connection/${id}` };
}
