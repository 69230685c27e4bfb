import { ApiError } from "@shipfox/shared/errors";
import type { CheckoutToken } from "@shipfox/shared/machine";
import type { Clock } from "../../store/clock.ts";
import type { ConnectionRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import { DEFAULT_USERNAME } from "./git-environment.ts";
import type { OpenSource, SourceAccess } from "./located.ts";
import type { RepositoryUrl } from "./repository-url.ts";
import type { Sources } from "./sources.ts";
import {
  findConnectionCalled,
  findDefaultBranch,
  findProjectSource,
  findSourceOf,
  type ProjectSourceRow,
} from "./store.ts";

/** Only the newest commit: what a job needs, unless it asks for more. */
const FETCH_DEPTH = 1;
/** A stored token does not expire by itself; runners are told to ask again after this. */
const TOKEN_LIFETIME_MS = 3_600_000;
/** The default branch of a repository of which nothing is known, as git names it. */
const DEFAULT_REF = "HEAD";

export interface CheckoutsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly sources: Sources;
}

export interface CheckoutRequest {
  readonly workspaceId: string;
  /** The project of the job. */
  readonly projectId: string;
  /** What to check out; the project's repository without any. */
  readonly target?: CheckoutTarget;
  readonly access: SourceAccess;
  /** Whether a stranger may have made what the job runs: it gets the project's repository, to read it. */
  readonly untrusted?: boolean;
}

/** `project` is an id or a slug, `connection` a slug, `repository` what the connection's host calls it. */
export interface CheckoutTarget {
  readonly project?: string | undefined;
  readonly connection?: string | undefined;
  readonly repository?: string | undefined;
}

/** `isOwn`: it is the repository of the job's project. */
export type CheckoutReply = CheckoutToken & { readonly isOwn: boolean };

/** What runners get to fetch a repository. Everything in it is secret. */
export class Checkouts {
  readonly #deps: CheckoutsDeps;

  constructor(deps: CheckoutsDeps) {
    this.#deps = deps;
  }

  /**
   * The answer to a runner that asks. Throws 404 `checkout-unavailable`, `project-not-found`, `integration-connection-not-found`
   * and `checkout-repository-not-authorized`, 422 `source-connection-inactive` and `integration-capability-unavailable`, 400
   * `invalid-repository-url`, and what the repository's host answers when it is asked for a token.
   */
  async checkout(request: CheckoutRequest): Promise<CheckoutReply> {
    const { store, clock, sources } = this.#deps;
    const { target = {}, access } = request;
    const { own, source } = await store.read((tx) => findTarget(tx, request));
    const externalId =
      target.repository === undefined
        ? source.external_repository_id
        : await sources.repositoryNamed(source, target.repository);
    const located = sources.locate(source, externalId);
    const isOwn = source.id === own.id && located.externalId === own.external_repository_id;
    if (request.untrusted && !isOwn)
      throw new ApiError(
        "checkout-repository-not-authorized",
        "a run of an untrusted event, as of a fork, gets the repository of its own project only",
      );
    const contents = request.untrusted ? "read" : access.contents;
    const ref =
      target.repository === undefined
        ? source.default_branch
        : ((await store.read((tx) => findDefaultBranch(tx, source.id, located.externalId))) ?? DEFAULT_REF);
    const opened = await located.open({ contents });
    const expires_at = new Date(opened.expiresAt ?? clock.now() + TOKEN_LIFETIME_MS).toISOString();
    const auth = basicAuth(opened, expires_at);
    const { repository, credential } = opened;
    return {
      isOwn,
      repository_url: repository.url,
      ref,
      fetch_depth: FETCH_DEPTH,
      ...(auth ? { auth } : {}),
      ...(auth && contents === "write" ? { git_author: opened.author ?? authorOf(source, repository) } : {}),
      ...(repository.protocol === "ssh" && credential.sshKey !== null ? { ssh_key: credential.sshKey } : {}),
    };
  }
}

/** The project's own source, and that of what is asked for; whose repository it is may still have to be asked. */
async function findTarget(
  tx: Tx,
  { workspaceId, projectId, target = {} }: CheckoutRequest,
): Promise<{ own: ProjectSourceRow; source: ProjectSourceRow }> {
  const own = await findProjectSource(tx, projectId);
  if (!own) throw new ApiError("checkout-unavailable", "the project of this job does not exist any more");
  if (target.project !== undefined) {
    const source = await findSourceOf(tx, workspaceId, target.project);
    if (!source)
      throw new ApiError("project-not-found", `the workspace has no project ${JSON.stringify(target.project)}`);
    return { own, source };
  }
  if (target.connection === undefined) return { own, source: own };
  const connection = await findConnectionCalled(tx, workspaceId, target.connection);
  if (!connection) {
    const message = `the workspace has no connection ${JSON.stringify(target.connection)}`;
    throw new ApiError("integration-connection-not-found", message);
  }
  return { own, source: { ...own, ...connection } };
}

function basicAuth({ repository, credential }: OpenSource, expires_at: string): CheckoutToken["auth"] {
  const { protocol, url } = repository;
  const { username, token } = credential;
  if (token === null || (protocol !== "https" && protocol !== "http")) return undefined;
  const how = { kind: "basic", carry: "header", persist: false } as const;
  return { ...how, expires_at, username: username ?? DEFAULT_USERNAME, token, host: new URL(url).host };
}

/** The connection stands for whoever its token belongs to. */
function authorOf({ display_name: name }: ConnectionRow, { host }: RepositoryUrl): { name: string; email: string } {
  return { name: name.replaceAll(/[<>\p{Cc}]/gu, " ").trim(), email: `noreply@${host}` };
}
