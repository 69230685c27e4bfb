import type { Repository } from "@shipfox/shared/api/integrations";
import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import type { ConnectionRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import type { Git } from "./git.ts";
import type { GitHubSources } from "./github/sources.ts";
import { GITHUB_PROVIDER } from "./model.ts";
import {
  GIT_PROVIDER,
  looksLikeUrl,
  parseRepositoryUrl,
  type RepositoryUrl,
  repositoryId,
  type UrlSettings,
} from "./repository-url.ts";
import { notConfigured, type Sources } from "./sources.ts";
import { findConnection, listProjectsOf } from "./store.ts";

export interface ListRepositoriesDeps {
  readonly store: Store;
  readonly access: Access;
  readonly sources: Sources;
  readonly git: Git;
  readonly urls: UrlSettings;
  readonly github: GitHubSources | null;
}

export interface RepositoriesRequest {
  readonly connectionId: string;
  readonly search: string | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
}

export interface RepositoryPage {
  readonly repositories: Repository[];
  readonly nextCursor: string | null;
}

/**
 * The repositories that a connection may read, in the provider's order. Throws 404 `integration-connection-not-found`,
 * 403 `forbidden`, 422 `integration-connection-inactive`, `integration-capability-unavailable`,
 * `integration-provider-unavailable`, 400 `invalid-cursor`, and what the provider answers.
 */
export async function listRepositories(
  deps: ListRepositoriesDeps,
  caller: Caller,
  request: RepositoriesRequest,
): Promise<RepositoryPage> {
  const { store, access } = deps;
  const { connection, projects } = await store.read(async (tx) => {
    const found = await findConnection(tx, request.connectionId);
    if (!found) throw notFound();
    await requireVisible(access, tx, caller, found.workspace_id, notFound);
    return { connection: found, projects: await listProjectsOf(tx, found.id) };
  });
  if (connection.lifecycle_status !== "active") {
    throw new ApiError(
      "integration-connection-inactive",
      `the connection is ${connection.lifecycle_status}; enable it first`,
    );
  }
  const [start] = request.cursor === undefined ? [0] : decodeCursor(request.cursor, ["number"]);
  if (start < 0) throw new ApiError("invalid-cursor", "the cursor is not one of this list; start again without it");
  switch (connection.provider) {
    case GIT_PROVIDER: {
      const known = await gitRepositories(deps, connection, projects, request.search);
      const end = start + request.limit;
      return {
        repositories: known.slice(start, end),
        nextCursor: end < known.length ? encodeCursor([end]) : null,
      };
    }
    case GITHUB_PROVIDER: {
      if (!deps.github) throw notConfigured();
      const { repositories, next } = await deps.github.list(connection, { ...request, start });
      return { repositories, nextCursor: next === null ? null : encodeCursor([next]) };
    }
    default:
      throw new ApiError("integration-capability-unavailable", "this connection does not serve source code");
  }
}

/** git hosts have no common list: these are the repositories that projects use already, and the one that was asked for. */
async function gitRepositories(
  deps: ListRepositoriesDeps,
  connection: ConnectionRow,
  projects: readonly { external_repository_id: string; default_branch: string }[],
  search: string | undefined,
): Promise<Repository[]> {
  const found = projects.map((project) =>
    describe(connection, project.external_repository_id.slice(GIT_PROVIDER.length + 1), project.default_branch),
  );
  const wanted = search?.toLowerCase();
  const matching = found.filter(
    ({ full_name, clone_url }) =>
      wanted === undefined || full_name.toLowerCase().includes(wanted) || clone_url.toLowerCase() === wanted,
  );
  if (search === undefined || matching.length > 0) return matching;
  const asked = asUrl(search, deps.urls);
  if (!asked) return [];
  const source = await deps.sources.locate(connection, repositoryId(asked)).open({ contents: "read" });
  const { branch } = await deps.git.lsRemote(source);
  return [describe(connection, asked.url, branch)];
}

/** Null for words that are no address; an address that is not allowed is an error. */
function asUrl(search: string, urls: UrlSettings): RepositoryUrl | null {
  return looksLikeUrl(search) ? parseRepositoryUrl(search, urls) : null;
}

function describe(connection: ConnectionRow, url: string, branch: string): Repository {
  const path = url
    .replace(/^[a-z]+:\/\/[^/]*/, "")
    .replace(/^[^/]*:/, "")
    .replace(/^\/+/, "")
    .replace(/\.git$/, "");
  const cut = path.lastIndexOf("/");
  return {
    connection_id: connection.id,
    external_repository_id: `${GIT_PROVIDER}:${url}`,
    owner: cut < 0 ? "" : path.slice(0, cut),
    name: path.slice(cut + 1),
    full_name: path,
    default_branch: branch,
    visibility: "unknown",
    clone_url: url,
    html_url: url.startsWith("http") ? url.replace(/\.git$/, "") : null,
  };
}

function notFound(): ApiError {
  return new ApiError("integration-connection-not-found", "there is no such connection that you may see");
}
