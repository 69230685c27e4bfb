import { ApiError } from "@shipfox/shared/errors";
import type { RefreshSessionRow, UserRow } from "../../store/schema.ts";

const DAY_MS = 86_400_000;
export const REFRESH_LIFETIME_MS = 14 * DAY_MS;
/** How long a retired refresh token still works: browser tabs refresh at the same moment. */
export const REFRESH_GRACE_MS = 30_000;

export interface SignupFacts {
  readonly firstAccount: boolean;
  /** The request comes from this machine. */
  readonly localPeer: boolean;
  /** The request carries the right setup token. */
  readonly setupTokenValid: boolean;
  readonly allowSignup: boolean;
  /** The address is one of those that may sign up. */
  readonly addressAllowed: boolean;
}

/** Throws 403 `setup-token-required` or `signup-not-allowed` unless the account may be made. */
export function checkSignup(facts: SignupFacts): void {
  if (facts.firstAccount) {
    if (facts.localPeer || facts.setupTokenValid) return;
    throw new ApiError(
      "setup-token-required",
      "the first account is made on the server itself, or with the setup_token that its log and the command shipfox-control-plane setup show",
    );
  }
  if (!facts.allowSignup) {
    throw new ApiError("signup-not-allowed", "sign-up is closed here; ask an administrator for an invitation");
  }
  if (!facts.addressAllowed) {
    throw new ApiError(
      "signup-not-allowed",
      "sign-up is open to certain addresses only, and this is none of them; ask an administrator for an invitation",
    );
  }
}

export type RefreshVerdict =
  /** The current token: it is replaced. */
  | "rotate"
  /** The one before, just now: a session, but no new cookie. */
  | "grace"
  /** A token that was replaced: somebody copied it. All sessions of the user end. */
  | "reused"
  | "refuse";

export function decideRefresh(
  session: Pick<RefreshSessionRow, "token_hash" | "previous_token_hash" | "rotated_at" | "expires_at" | "revoked_at">,
  user: Pick<UserRow, "status">,
  presentedHash: string,
  now: number,
): RefreshVerdict {
  if (session.revoked_at !== null || session.expires_at <= now || user.status !== "active") return "refuse";
  if (presentedHash === session.token_hash) return "rotate";
  const inGrace = session.rotated_at !== null && now - session.rotated_at <= REFRESH_GRACE_MS;
  return presentedHash === session.previous_token_hash && inGrace ? "grace" : "reused";
}
