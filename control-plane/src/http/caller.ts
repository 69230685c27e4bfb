import type { Ability } from "@shipfox/shared/api/access-tokens";
import type { IdempotentCall, Origin } from "../store/store.ts";

/** What a personal access token may do, as it was minted: never more than its owner may. */
export interface AccessTokenFacts {
  readonly id: string;
  readonly workspaceId: string;
  readonly abilities: readonly Ability[];
}

/** Somebody who is signed in, in person or by an access token of his. */
export interface UserPrincipal {
  readonly userId: string;
  /** The session of an access token from a sign-in; null with a personal access token. */
  readonly refreshSessionId: string | null;
  /** The personal access token that was presented; null for the person himself. */
  readonly token: AccessTokenFacts | null;
  /** Of a stream ticket that was made for one workspace: it counts in no other. */
  readonly onlyWorkspaceId?: string;
}

/** For whom calls, keys and streams are counted: each access token for itself, beside the person. */
export function accountOf({ userId, token }: UserPrincipal): string {
  return token?.id ?? userId;
}

/**
 * What a route of users asks of its caller. An ability is checked in the workspace of the thing the route touches.
 * `account` is the person himself, never one of his tokens; `identity` anybody who is signed in; `instance:…` an
 * administrator of the whole server, also never a token.
 */
export type Need = Ability | "account" | "identity" | "instance:read" | "instance:operate" | "instance:own";

/** A user's call: who, what for, and from where. */
export interface Caller extends UserPrincipal {
  readonly needs: Need;
  readonly origin: Origin;
  /** When the call carries an `Idempotency-Key`. */
  readonly call?: IdempotentCall | null;
}
