import { ApiError } from "@shipfox/shared/errors";
import jsonwebtoken from "jsonwebtoken";
import { z } from "zod";
import type { Clock } from "../../../store/clock.ts";
import type { GitHubApi } from "./api.ts";
import { InstallationTokens, type InstallationToken, type TokenScope } from "./installation-tokens.ts";
import type { GitHubSettings } from "./settings.ts";

/** GitHub takes ten minutes at most, counted by its own clock; the start lies back, for clocks that differ. */
const JWT_BACKDATE_SECONDS = 60;
const JWT_LIFETIME_SECONDS = 540;

const name = z.string().regex(/^[A-Za-z0-9._-]{1,100}$/);
const account = z.object({ login: name, id: z.int(), type: z.string() });

const installationSchema = z.object({ id: z.int(), account, suspended_at: z.string().nullish() });
const countSchema = z.object({ total_count: z.int() });
const userTokenSchema = z.object({ access_token: z.string().min(1).optional() });
const tokenSchema = z.object({ token: z.string().min(1), expires_at: z.iso.datetime() });

/** A repository as GitHub shows it. Its names are checked: addresses are made of them. */
export const repositorySchema = z.object({
  id: z.int(),
  name,
  owner: z.object({ login: name }),
  default_branch: z.string().min(1).max(255),
  private: z.boolean(),
  visibility: z.string().optional(),
});
const repositoryPageSchema = z.object({ total_count: z.int(), repositories: z.array(repositorySchema) });

/** `guid` is the same for all attempts; `status_code` is 0 when there was no answer. */
const deliveriesSchema = z.array(z.object({ id: z.int(), guid: z.string(), status_code: z.int() }));

export type GitHubDelivery = z.infer<typeof deliveriesSchema>[number];
export type GitHubRepository = z.infer<typeof repositorySchema>;
export type GitHubInstallation = z.infer<typeof installationSchema>;

/** What the operator's GitHub App can do. Everything throws what `GitHubApi.call` throws. */
export class GitHubApp {
  readonly settings: GitHubSettings;
  readonly api: GitHubApi;
  readonly #clock: Clock;
  readonly #tokens: InstallationTokens;

  constructor(deps: { settings: GitHubSettings; api: GitHubApi; clock: Clock }) {
    this.settings = deps.settings;
    this.api = deps.api;
    this.#clock = deps.clock;
    this.#tokens = new InstallationTokens(deps.clock, (scope) => this.#mint(scope));
  }

  /**
   * A token of an installation, at least ten minutes before its end. Throws 422 `installation-not-found` and, for a
   * repository that the installation does not have, `repository-not-found` as well.
   */
  token(scope: TokenScope): Promise<InstallationToken> {
    return this.#tokens.get(scope);
  }

  /** The tokens of an installation are not handed out again. */
  forgetTokens(installationId: number): void {
    this.#tokens.forget(installationId);
  }

  /** Throws 422 `installation-not-found` as well. */
  installation(installationId: number): Promise<GitHubInstallation> {
    return this.api.call(
      {
        method: "GET",
        path: `/app/installations/${installationId}`,
        token: this.#jwt(),
        notFound: "installation-not-found",
      },
      installationSchema,
    );
  }

  /** By its number, with a token that may see it. Throws 422 `repository-not-found` as well. */
  repository(token: string, repositoryId: number): Promise<GitHubRepository> {
    return this.api.call(
      { method: "GET", path: `/repositories/${repositoryId}`, token, notFound: "repository-not-found" },
      repositorySchema,
    );
  }

  /** By its `owner/name`, of those that the installation has. Throws 422 `repository-not-found` as well. */
  async repositoryNamed(installationId: number, fullName: string): Promise<GitHubRepository> {
    const { token } = await this.token({ installationId, repositoryId: null, permissions: { metadata: "read" } });
    return await this.api.call(
      { method: "GET", path: `/repos/${fullName}`, token, notFound: "repository-not-found" },
      repositorySchema,
    );
  }

  /** A page of the repositories that an installation may see; pages count from 1. */
  async repositories(installationId: number, page: { number: number; size: number }) {
    const { token } = await this.token({ installationId, repositoryId: null, permissions: { metadata: "read" } });
    const path = `/installation/repositories?per_page=${page.size}&page=${page.number}`;
    return this.api.call({ method: "GET", path, token }, repositoryPageSchema);
  }

  /** The user's own token for the code that his browser brought; null for a code that is no good. Used at once, never stored. */
  async exchangeCode(code: string): Promise<string | null> {
    const { clientId, clientSecret, webUrl } = this.settings;
    const reply = await this.api.call(
      {
        method: "POST",
        path: `${webUrl}/login/oauth/access_token`,
        body: { client_id: clientId, client_secret: clientSecret, code },
        // A code is good once.
        repeatable: false,
      },
      userTokenSchema,
    );
    return reply.access_token ?? null;
  }

  /** How many of an installation's repositories a user can see; null when he cannot see the installation. */
  async countVisibleTo(userToken: string, installationId: number): Promise<number | null> {
    const path = `/user/installations/${installationId}/repositories?per_page=1`;
    try {
      return (await this.api.call({ method: "GET", path, token: userToken }, countSchema)).total_count;
    } catch (error) {
      if (error instanceof ApiError && error.code === "access-denied") return null;
      throw error;
    }
  }

  /** What GitHub sent lately, newest first, and how it was answered: at most 100. */
  deliveries(): Promise<z.infer<typeof deliveriesSchema>> {
    const list = { method: "GET", path: "/app/hook/deliveries?per_page=100", token: this.#jwt() } as const;
    return this.api.call(list, deliveriesSchema);
  }

  /** Has GitHub send a delivery once more, with the id that it had. */
  async redeliver(deliveryId: number): Promise<void> {
    const path = `/app/hook/deliveries/${deliveryId}/attempts`;
    await this.api.call({ method: "POST", path, token: this.#jwt(), repeatable: false }, z.unknown());
  }

  async #mint({ installationId, repositoryId, permissions }: TokenScope): Promise<InstallationToken> {
    const call = {
      method: "POST",
      path: `/app/installations/${installationId}/access_tokens`,
      token: this.#jwt(),
      body: { permissions, ...(repositoryId === null ? {} : { repository_ids: [repositoryId] }) },
      notFound: "installation-not-found",
    } as const;
    try {
      const { token, expires_at } = await this.api.call(call, tokenSchema);
      return { token, expiresAt: Date.parse(expires_at) };
    } catch (error) {
      throw error instanceof ApiError && error.code === "provider-rejected" ? refusedScope(error) : error;
    }
  }

  #jwt(): string {
    const now = Math.floor(this.#clock.now() / 1000);
    const claims = { iat: now - JWT_BACKDATE_SECONDS, exp: now + JWT_LIFETIME_SECONDS, iss: this.settings.appId };
    return jsonwebtoken.sign(claims, this.settings.privateKey, { algorithm: "RS256" });
  }
}

/** GitHub answers 422 for a repository that the installation does not have and for rights that it was not given. */
function refusedScope(error: ApiError): ApiError {
  return /permission/i.test(error.message)
    ? new ApiError("access-denied", `the GitHub App lacks a permission that this needs (${error.message})`, {
        cause: error,
      })
    : new ApiError("repository-not-found", "the GitHub App is not installed on this repository", { cause: error });
}
