import { ApiError } from "@shipfox/shared/errors";
import { tokenKind } from "@shipfox/shared/tokens";
import type { UserPrincipal } from "./caller.ts";
import type { Credential, Principals } from "./route.ts";
import type { SignedTokens } from "./signed-tokens.ts";

/** What the Authorization header proves: a user is not a caller before it is known what he calls. */
export type Proven<C extends Credential> = C extends "user" ? UserPrincipal : Principals[C];

/** Turns the Authorization header into what a route asks for; throws 401 `unauthorized` when it is not there or not good. */
export type Authenticate = <C extends Credential>(
  credential: C,
  authorization: string | undefined,
) => Proven<C> | Promise<Proven<C>>;

/** Implemented by the access-tokens module. */
export interface AccessTokens {
  /** Throws 401 `unauthorized` for a token that is unknown, expired, revoked or of a user who is not active. */
  verify(token: string): Promise<UserPrincipal>;
}

type Readers = { [C in Credential]: (authorization: string | undefined) => Proven<C> | Promise<Proven<C>> };

export function createAuthenticate(tokens: SignedTokens, accessTokens: AccessTokens): Authenticate {
  const readers: Readers = {
    none: () => null,
    user: (authorization) => user(bearer(authorization)),
    registration: (authorization) => registration(bearer(authorization)),
    "runner-session": (authorization) => tokens.verifySession(bearer(authorization)),
    lease: (authorization) => tokens.verifyLease(bearer(authorization)),
    provisioner: (authorization) => provisioner(bearer(authorization)),
  };
  const user = (token: string) =>
    tokenKind(token) === "pat" ? accessTokens.verify(token) : { ...tokens.verifyUser(token), token: null };
  return (credential, authorization) => readers[credential](authorization);
}

function registration(token: string): { token: string } {
  const kind = tokenKind(token);
  if (kind !== "mrt" && kind !== "ert" && kind !== "rt") {
    throw new ApiError(
      "unauthorized",
      "expected a registration token (sf_mrt_… or sf_ert_…) or a runner's own credential (sf_rt_…)",
    );
  }
  return { token };
}

function provisioner(token: string): { token: string } {
  if (tokenKind(token) !== "pt") throw new ApiError("unauthorized", "expected a provisioner token (sf_pt_…)");
  return { token };
}

function bearer(authorization: string | undefined): string {
  const parts = authorization?.split(" ") ?? [];
  const token = parts[1];
  if (parts.length !== 2 || parts[0]?.toLowerCase() !== "bearer" || !token) {
    throw new ApiError("unauthorized", "expected the header Authorization: Bearer <credential>");
  }
  return token;
}
