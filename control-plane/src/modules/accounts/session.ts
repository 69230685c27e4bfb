import type { KeyObject } from "node:crypto";
import type { SessionReply, User } from "@shipfox/shared/api/accounts";
import { newId } from "@shipfox/shared/ids";
import { hashToken } from "@shipfox/shared/tokens";
import type { AccessChanged } from "../../http/open-streams.ts";
import type { SignedTokens } from "../../http/signed-tokens.ts";
import type { Clock } from "../../store/clock.ts";
import type { UserRow } from "../../store/schema.ts";
import type { AuditActor, Origin, Store, Tx, WriteTx } from "../../store/store.ts";
import type { Logger } from "@shipfox/shared/logger";
import type { Mail } from "../mail/public.ts";
import { oldestMembership } from "../workspaces/public.ts";
import type { AllowedAddresses } from "./allowed-addresses.ts";
import type { EmailChallenges } from "./email-challenges.ts";
import { REFRESH_LIFETIME_MS } from "./model.ts";
import type { Passwords } from "./passwords.ts";
import { newRefreshToken } from "./refresh-token.ts";
import type { SignInLimits } from "./sign-in-limits.ts";
import { insertSession } from "./store.ts";

const MAX_USER_AGENT_CHARS = 256;

/** What the use cases of accounts need. */
export interface AccountsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tokens: SignedTokens;
  readonly passwords: Passwords;
  /** Told after sessions were ended before their time: what is still open with them ends too. */
  readonly accessChanged: AccessChanged;
  readonly limits: SignInLimits;
  readonly mail: Mail;
  readonly challenges: EmailChallenges;
  /** Where browsers reach this server; without a slash at the end. */
  readonly publicUrl: string;
  readonly recoveryKey: KeyObject;
  /** Of the first account from another machine. */
  readonly setupToken: string;
  /** Anybody may make an account once there is a first one. */
  readonly allowSignup: boolean;
  readonly allowedAddresses: AllowedAddresses;
}

export type MembershipRef = SessionReply["membership"];

/** A user who is signed in. `refreshToken` null leaves the cookie as it is. */
export interface SignedIn {
  readonly user: UserRow;
  readonly sessionId: string;
  readonly refreshToken: string | null;
  readonly membership: MembershipRef;
}

/** A session before the unit that inserts it. */
interface NewSession {
  readonly id: string;
  readonly refreshToken: string;
  readonly now: number;
  readonly origin: Origin;
}

export function newSession(now: number, origin: Origin): NewSession {
  const id = newId(now);
  return { id, refreshToken: newRefreshToken(id), now, origin };
}

export async function openSession(tx: WriteTx, session: NewSession, user: UserRow, from: AuditActor): Promise<void> {
  const { id, refreshToken, now, origin } = session;
  await insertSession(tx, {
    id,
    user_id: user.id,
    token_hash: hashToken(refreshToken),
    expires_at: now + REFRESH_LIFETIME_MS,
    ip: origin.ip,
    user_agent: origin.userAgent?.slice(0, MAX_USER_AGENT_CHARS) ?? null,
    created_at: now,
  });
  await tx.audit(
    { ...from, userId: user.id },
    { workspaceId: null, action: "session.opened", target: { type: "user", id: user.id, name: user.email } },
  );
}

export async function signedInAs(tx: Tx, user: UserRow, session: NewSession): Promise<SignedIn> {
  const membership = await oldestMembership(tx, user.id);
  return { user, sessionId: session.id, refreshToken: session.refreshToken, membership };
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
