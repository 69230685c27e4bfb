import type { SessionReply, User } from "@shipfox/shared/api/accounts";
import { newId } from "@shipfox/shared/ids";
import { hashToken } from "@shipfox/shared/tokens";
import type { SignedTokens } from "../../http/signed-tokens.ts";
import type { Clock } from "../../store/clock.ts";
import type { UserRow } from "../../store/schema.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import type { Logger } from "@shipfox/shared/logger";
import { REFRESH_LIFETIME_MS } from "./model.ts";
import type { Passwords } from "./passwords.ts";
import { newRefreshToken } from "./refresh-token.ts";
import { insertSession } from "./store.ts";

/** What the use cases of accounts need. */
export interface AccountsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tokens: SignedTokens;
  readonly passwords: Passwords;
  /** Of the first account from another machine. */
  readonly setupToken: string;
  /** Anybody may make an account once there is a first one. */
  readonly allowSignup: boolean;
}

export type MembershipRef = SessionReply["membership"];

/** A user who is signed in. `refreshToken` null leaves the cookie as it is. */
export interface SignedIn {
  readonly user: UserRow;
  readonly sessionId: string;
  readonly refreshToken: string | null;
  readonly membership: MembershipRef;
}

/** Id and token of a session to be, made before the unit that inserts it. */
export function newSession(now: number): { id: string; refreshToken: string } {
  const id = newId(now);
  return { id, refreshToken: newRefreshToken(id) };
}

export async function openSession(
  tx: WriteTx,
  session: ReturnType<typeof newSession>,
  userId: string,
  now: number,
): Promise<void> {
  await insertSession(tx, {
    id: session.id,
    user_id: userId,
    token_hash: hashToken(session.refreshToken),
    expires_at: now + REFRESH_LIFETIME_MS,
    created_at: now,
  });
}

export function presentSession(tokens: SignedTokens, { user, sessionId, membership }: SignedIn): SessionReply {
  const { id: userId, email, name } = user;
  const token = tokens.signUser({ userId, email, name, refreshSessionId: sessionId });
  return { token, user: presentUser(user), membership, admin_role: user.admin_role as SessionReply["admin_role"] };
}

export function presentUser(user: UserRow): User {
  return {
    id: user.id,
    email: user.email,
    name: user.name,
    email_verified_at: user.email_verified_at === null ? null : new Date(user.email_verified_at).toISOString(),
    status: user.status as User["status"],
    created_at: new Date(user.created_at).toISOString(),
    updated_at: new Date(user.updated_at).toISOString(),
  };
}
