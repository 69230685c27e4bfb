import { type Connection, connectionSchema } from "@shipfox/shared/api/integrations";
import { ApiError } from "@shipfox/shared/errors";
import type { ConnectionRow } from "../../store/schema.ts";
import {
  GIT_PROVIDER,
  isUnder,
  looksLikeUrl,
  parseRepositoryId,
  parseRepositoryUrl,
  type RepositoryUrl,
  type UrlSettings,
} from "./repository-url.ts";

export type Capability = Connection["capabilities"][number];

export interface Provider {
  readonly provider: string;
  readonly display_name: string;
  readonly capabilities: Capability[];
}

export const GITHUB_PROVIDER = "github";
export const SENTRY_PROVIDER = "sentry";
export const WEBHOOK_PROVIDER = "webhook";

/** Every provider that this version knows, in the order in which they are listed. */
const KNOWN: readonly Provider[] = [
  { provider: GIT_PROVIDER, display_name: "Git", capabilities: ["source_control"] },
  { provider: GITHUB_PROVIDER, display_name: "GitHub", capabilities: ["source_control"] },
  { provider: SENTRY_PROVIDER, display_name: "Sentry", capabilities: [] },
  { provider: WEBHOOK_PROVIDER, display_name: "Webhook", capabilities: [] },
];

/** What this server can connect to: those providers that need no settings, or have theirs. */
export class Providers {
  readonly list: readonly Provider[];

  constructor(available: readonly string[]) {
    this.list = KNOWN.filter(({ provider }) => available.includes(provider));
  }

  /** None when the provider's settings are gone since the connection was made. */
  capabilitiesOf(provider: string): Capability[] {
    return this.list.find((known) => known.provider === provider)?.capabilities ?? [];
  }
}

/** Column `connections.settings` of a git connection. */
export interface GitSettings {
  readonly baseUrl: string | null;
  readonly username: string | null;
}

/** Column `connections.settings` of a GitHub connection; its `external_account_id` is the number of the installation. */
export interface GitHubConnectionSettings {
  /** The account that the app is installed on: it keeps its number when it is renamed. */
  readonly accountId: number;
  /** Its page on GitHub. */
  readonly accountUrl: string;
}

/** Column `connections.settings` of a Sentry connection; its `external_account_id` is the id of the installation. */
export interface SentryConnectionSettings {
  /** Slug of the organisation. */
  readonly organization: string;
  /** Its page on Sentry. */
  readonly url: string;
}

/** Column `connections.sealed_credential`, opened. */
export interface GitSecrets {
  readonly token: string | null;
  readonly sshKey: string | null;
}

export interface GitConnectionRequest {
  readonly baseUrl: string | null;
  readonly username: string | null;
  readonly token: string | null;
  readonly sshKey: string | null;
}

/**
 * Checks what a schema cannot. A token needs a base URL, and goes to no repository outside of it: otherwise whoever may
 * make a project could have it sent to a server of their own.
 */
export function checkGitConnection(request: GitConnectionRequest, urls: UrlSettings): RepositoryUrl | null {
  const base = request.baseUrl === null ? null : parseRepositoryUrl(request.baseUrl, urls);
  if (request.token !== null && base?.protocol !== "https" && base?.protocol !== "http") {
    throw fault(
      "base_url",
      "is required with a token, as in https://git.example.com/team: the token is sent to no other place",
    );
  }
  if (request.username !== null && /[:\p{Cc}]/u.test(request.username)) {
    throw fault("username", "must not hold colons or control characters");
  }
  if (request.sshKey !== null && !/^-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n/.test(request.sshKey)) {
    throw fault("ssh_key", "must be a private key as ssh-keygen writes it, without a passphrase");
  }
  return base;
}

/** Throws 422 `source-connection-inactive` for a connection that somebody disabled or that its provider ended. */
export function requireActive({
  slug,
  lifecycle_status: status,
}: Pick<ConnectionRow, "slug" | "lifecycle_status">): void {
  if (status === "active") return;
  throw new ApiError("source-connection-inactive", `the connection ${slug} is ${status}; enable it first`);
}

/** The repository of an external id, when this git connection may read it. Throws ApiError. */
export function repositoryOf(connection: ConnectionRow, externalId: string, urls: UrlSettings): RepositoryUrl {
  const repository = parseRepositoryId(externalId, urls);
  const { baseUrl } = settingsOf(connection);
  if (baseUrl !== null && !isUnder(repository, parseRepositoryUrl(baseUrl, urls))) {
    throw new ApiError(
      "invalid-repository-url",
      `the repository is not under ${baseUrl}, to which its connection is limited`,
    );
  }
  return repository;
}

/**
 * The external id of what a workflow calls `name`: that id, a clone URL, or a path below the base URL of the connection.
 * Throws 400 `invalid-repository-url` for a path without a base URL; the URL itself is checked when it is used.
 */
export function gitRepositoryNamed(connection: ConnectionRow, name: string): string {
  if (name.startsWith(`${GIT_PROVIDER}:`)) return name;
  if (looksLikeUrl(name)) return `${GIT_PROVIDER}:${name}`;
  const { baseUrl } = settingsOf(connection);
  const path = name.replace(/^\/+|\/+$/g, "").replace(/\.git$/, "");
  if (baseUrl !== null && path !== "") return `${GIT_PROVIDER}:${baseUrl.replace(/\/+$/, "")}/${path}.git`;
  const why = path === "" ? "no repository is named" : `the connection ${connection.slug} has no base URL`;
  throw new ApiError("invalid-repository-url", `${why}; give the clone URL instead of ${JSON.stringify(name)}`);
}

export function settingsOf(connection: Pick<ConnectionRow, "settings">): GitSettings {
  return JSON.parse(connection.settings) as GitSettings;
}

export function githubSettingsOf(connection: Pick<ConnectionRow, "settings">): GitHubConnectionSettings {
  return JSON.parse(connection.settings) as GitHubConnectionSettings;
}

export function sentrySettingsOf(connection: Pick<ConnectionRow, "settings">): SentryConnectionSettings {
  return JSON.parse(connection.settings) as SentryConnectionSettings;
}

export function presentConnection(row: ConnectionRow, providers: Providers): Connection {
  const externalUrl = externalUrlOf(row);
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    provider: row.provider,
    external_account_id: row.external_account_id,
    slug: row.slug,
    display_name: row.display_name,
    lifecycle_status: connectionSchema.shape.lifecycle_status.parse(row.lifecycle_status),
    capabilities: providers.capabilitiesOf(row.provider),
    ...(externalUrl === null ? {} : { external_url: externalUrl }),
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}

function externalUrlOf(row: ConnectionRow): string | null {
  if (row.provider === GITHUB_PROVIDER) return githubSettingsOf(row).accountUrl;
  if (row.provider === SENTRY_PROVIDER) return sentrySettingsOf(row).url;
  const url = row.provider === GIT_PROVIDER ? settingsOf(row).baseUrl : null;
  return url?.startsWith("http") ? url : null;
}

function fault(field: string, what: string): ApiError {
  return new ApiError("validation-error", `[body] ${field}: ${what}`);
}
