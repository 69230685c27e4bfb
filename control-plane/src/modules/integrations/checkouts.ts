import { ApiError } from "@shipfox/shared/errors";
import type { CheckoutToken } from "@shipfox/shared/machine";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { DEFAULT_USERNAME } from "./git-environment.ts";
import type { SourceAccess } from "./located.ts";
import type { Sources } from "./sources.ts";

/** Only the newest commit: what a job needs, unless it asks for more. */
const FETCH_DEPTH = 1;
/** A stored token does not expire by itself; runners are told to ask again after this. */
const TOKEN_LIFETIME_MS = 3_600_000;

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

  /**
   * The answer to a runner that asks. Throws 404 `checkout-unavailable`, 422 `source-connection-inactive`,
   * 400 `invalid-repository-url`, and what the repository's host answers when it is asked for a token.
   */
  async checkout(projectId: string, access: SourceAccess): Promise<CheckoutToken> {
    const { store, clock, sources } = this.#deps;
    const located = await store.read((tx) => sources.ofProject(tx, projectId)).catch(unavailable);
    const { repository, credential, expiresAt } = await located.open(access);
    const { protocol, url } = repository;
    const { username, token, sshKey } = credential;
    const overHttp = protocol === "https" || protocol === "http";
    const basic = {
      kind: "basic",
      carry: "header",
      persist: false,
      expires_at: new Date(expiresAt ?? clock.now() + TOKEN_LIFETIME_MS).toISOString(),
    } as const;
    return {
      repository_url: url,
      ref: located.defaultBranch,
      fetch_depth: FETCH_DEPTH,
      ...(overHttp && token !== null
        ? { auth: { ...basic, username: username ?? DEFAULT_USERNAME, token, host: new URL(url).host } }
        : {}),
      ...(protocol === "ssh" && sshKey !== null ? { ssh_key: sshKey } : {}),
    };
  }
}

function unavailable(error: unknown): never {
  if (error instanceof ApiError && error.code === "project-not-found") {
    throw new ApiError("checkout-unavailable", "the project of this job does not exist any more");
  }
  throw error;
}
