import type { Repository } from "@shipfox/shared/api/integrations";
import { ApiError } from "@shipfox/shared/errors";
import type { ConnectionRow } from "../../../store/schema.ts";
import { GITHUB_PROVIDER } from "../model.ts";
import { parseRepositoryUrl, type RepositoryUrl } from "../repository-url.ts";
import type { Located } from "../located.ts";
import type { GitHubApp, GitHubRepository } from "./app.ts";

/** The user name that goes with an installation's token. Source: GitHub's documentation of git access. */
const TOKEN_USERNAME = "x-access-token";
const EXTERNAL_ID_PATTERN = new RegExp(`^${GITHUB_PROVIDER}:([1-9]\\d{0,15})$`);
const FULL_NAME_PATTERN = /^(?!\.{1,2}\/)[A-Za-z0-9._-]{1,100}\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;
const PAGE_SIZE = 100;
const MAX_PAGES = 10;
/** The operator named the host by a setting, so it may be an inner one. */
const OPERATORS_HOST = { allowFile: false, allowHttp: true, allowPrivate: true };

/** Repositories on GitHub, read over https with a token that is good for an hour and for that one repository. */
export class GitHubSources {
  readonly #app: GitHubApp;

  constructor(app: GitHubApp) {
    this.#app = app;
  }

  /** Throws 400 `invalid-repository-url` for what is no `github:<number>`. Its `open` asks GitHub. */
  locate(connection: ConnectionRow, externalId: string): Located {
    const repositoryId = repositoryNumber(externalId);
    const installationId = Number(connection.external_account_id);
    return {
      externalId: repositoryExternalId(repositoryId),
      open: async ({ contents }) => {
        const { token, expiresAt } = await this.#app.token({ installationId, repositoryId, permissions: { contents } });
        // By number, so that a repository that was renamed or moved is still found.
        const found = await this.#app.repository(token, repositoryId);
        return {
          repository: this.cloneUrl(found),
          credential: { username: TOKEN_USERNAME, token, sshKey: null },
          expiresAt,
          author: this.#bot(),
          namedByOperator: true,
        };
      },
    };
  }

  /** The id of a repository by its `owner/name`, or by that id. Throws 422 `repository-not-found`, 400 `invalid-repository-url`. */
  async named(connection: ConnectionRow, name: string): Promise<string> {
    if (name.startsWith(`${GITHUB_PROVIDER}:`)) return repositoryExternalId(repositoryNumber(name));
    if (!FULL_NAME_PATTERN.test(name))
      throw new ApiError(
        "invalid-repository-url",
        `a repository of a GitHub connection is called owner/name, not ${JSON.stringify(name)}`,
      );
    return repositoryExternalId((await this.#app.repositoryNamed(Number(connection.external_account_id), name)).id);
  }

  /**
   * Repositories of the installation from position `start` of GitHub's order. GitHub has no search among them, so a
   * search looks through at most 1,000 of them a call; `next` is where it goes on, null at the end.
   */
  async list(
    connection: ConnectionRow,
    { search, limit, start }: { search: string | undefined; limit: number; start: number },
  ): Promise<{ repositories: Repository[]; next: number | null }> {
    const installationId = Number(connection.external_account_id);
    const wanted = search?.toLowerCase() ?? "";
    const repositories: Repository[] = [];
    let position = start;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const number = Math.floor(position / PAGE_SIZE) + 1;
      const page = await this.#app.repositories(installationId, { number, size: PAGE_SIZE });
      for (const found of page.repositories.slice(position % PAGE_SIZE)) {
        if (repositories.length === limit) return { repositories, next: position };
        position += 1;
        if (fullName(found).toLowerCase().includes(wanted)) repositories.push(this.#describe(connection, found));
      }
      // A page that is not full is the last one, whatever the count says.
      if (page.repositories.length < PAGE_SIZE || position >= page.total_count) return { repositories, next: null };
    }
    return { repositories, next: position };
  }

  #describe(connection: ConnectionRow, found: GitHubRepository): Repository {
    return {
      connection_id: connection.id,
      external_repository_id: repositoryExternalId(found.id),
      owner: found.owner.login,
      name: found.name,
      full_name: fullName(found),
      default_branch: found.default_branch,
      visibility: visibilityOf(found),
      clone_url: this.cloneUrl(found).url,
      html_url: `${this.#app.settings.webUrl}/${fullName(found)}`,
    };
  }

  /** Under which GitHub shows what an app commits. */
  #bot(): { name: string; email: string } {
    const { appUrl, webUrl } = this.#app.settings;
    const name = `${appUrl.slice(appUrl.lastIndexOf("/") + 1)}[bot]`;
    return { name, email: `${name}@users.noreply.${new URL(webUrl).hostname}` };
  }

  /** Made of the operator's setting and checked names, not taken from the answer: the token is sent to no other host. */
  cloneUrl(found: GitHubRepository): RepositoryUrl {
    return parseRepositoryUrl(`${this.#app.settings.webUrl}/${fullName(found)}.git`, OPERATORS_HOST);
  }
}

function fullName({ owner, name }: GitHubRepository): string {
  return `${owner.login}/${name}`;
}

function visibilityOf(found: GitHubRepository): Repository["visibility"] {
  if (found.visibility === "internal") return "internal";
  return found.private ? "private" : "public";
}

export function repositoryExternalId(repositoryId: number): string {
  return `${GITHUB_PROVIDER}:${repositoryId}`;
}

export function repositoryNumber(externalId: string): number {
  const number = EXTERNAL_ID_PATTERN.exec(externalId)?.[1];
  if (number !== undefined) return Number(number);
  throw new ApiError(
    "invalid-repository-url",
    `a repository of a GitHub connection is named ${GITHUB_PROVIDER}:<number>, as in the list of the connection's repositories`,
  );
}
