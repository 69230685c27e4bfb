import { ApiError } from "@shipfox/shared/errors";
import type { CheckoutToken } from "@shipfox/shared/machine";
import type { Clock } from "../../store/clock.ts";
import type { Store, Tx } from "../../store/store.ts";
import { DEFAULT_USERNAME } from "./git-environment.ts";
import type { ProjectSource, Sources } from "./sources.ts";

/** Only the newest commit: what a job needs, unless it asks for more. */
const FETCH_DEPTH = 1;
/** A stored token does not expire by itself; runners are told to ask again after this. */
const TOKEN_LIFETIME_MS = 3_600_000;

export interface CheckoutSource {
  readonly cloneUrl: string;
  readonly defaultBranch: string;
  /** For http and https. */
  readonly auth: { readonly username: string; readonly token: string } | null;
  /** OpenSSH private key, for ssh. */
  readonly sshKey: string | null;
}

export interface CheckoutsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly sources: Sources;
}

/** What runners get to fetch a project's repository. Everything in it is secret. */
export class Checkouts {
  readonly #deps: CheckoutsDeps;

  constructor(deps: CheckoutsDeps) {
    this.#deps = deps;
  }

  /** Throws 404 `project-not-found`, 422 `source-connection-inactive`, 400 `invalid-repository-url`. */
  async source(tx: Tx, projectId: string): Promise<CheckoutSource> {
    return checkoutSource(await this.#deps.sources.ofProject(tx, projectId));
  }

  /** The answer to a runner that asks. Throws 404 `checkout-unavailable` and what `source` throws. */
  async checkout(projectId: string): Promise<CheckoutToken> {
    const source = await this.#deps.store.read((tx) => this.#deps.sources.ofProject(tx, projectId)).catch(unavailable);
    const { cloneUrl, defaultBranch, auth, sshKey } = checkoutSource(source);
    const expiresAt = new Date(this.#deps.clock.now() + TOKEN_LIFETIME_MS).toISOString();
    const basic = { kind: "basic", carry: "header", persist: false, expires_at: expiresAt } as const;
    return {
      repository_url: cloneUrl,
      ref: defaultBranch,
      fetch_depth: FETCH_DEPTH,
      ...(auth === null ? {} : { auth: { ...basic, ...auth, host: new URL(cloneUrl).host } }),
      ...(sshKey === null ? {} : { ssh_key: sshKey }),
    };
  }
}

function checkoutSource({ repository, credential, defaultBranch }: ProjectSource): CheckoutSource {
  const { protocol, url: cloneUrl } = repository;
  const overHttp = protocol === "https" || protocol === "http";
  const { username, token, sshKey } = credential;
  return {
    cloneUrl,
    defaultBranch,
    auth: overHttp && token !== null ? { username: username ?? DEFAULT_USERNAME, token } : null,
    sshKey: protocol === "ssh" ? sshKey : null,
  };
}

function unavailable(error: unknown): never {
  if (error instanceof ApiError && error.code === "project-not-found") {
    throw new ApiError("checkout-unavailable", "the project of this job does not exist any more");
  }
  throw error;
}
