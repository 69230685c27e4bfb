import { ApiError } from "@shipfox/shared/errors";
import { tokenKind } from "@shipfox/shared/tokens";
import type { Credential, Principals } from "./route.ts";
import type { SignedTokens } from "./signed-tokens.ts";

/** Turns the Authorization header into the principal a route asks for; throws 401 `unauthorized` when it is not there or not good. */
export type Authenticate = <C extends Credential>(credential: C, authorization: string | undefined) => Principals[C];

export function createAuthenticate(tokens: SignedTokens): Authenticate {
  const readers: { [C in Credential]: (authorization: string | undefined) => Principals[C] } = {
    none: () => null,
    user: (authorization) => tokens.verifyUser(bearer(authorization)),
    registration: (authorization) => registration(bearer(authorization)),
    "runner-session": (authorization) => tokens.verifySession(bearer(authorization)),
    lease: (authorization) => tokens.verifyLease(bearer(authorization)),
  };
  return (credential, authorization) => readers[credential](authorization);
}

function registration(token: string): { token: string } {
  const kind = tokenKind(token);
  if (kind !== "mrt" && kind !== "rt") {
    throw new ApiError(
      "unauthorized",
      "expected a registration token (sf_mrt_…) or a runner's own credential (sf_rt_…)",
    );
  }
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
