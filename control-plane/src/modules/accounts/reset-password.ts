import { ApiError } from "@shipfox/shared/errors";
import { hashToken, newToken, tokenKind } from "@shipfox/shared/tokens";
import { ForbiddenError, requireInstanceRole } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { UserRow } from "../../store/schema.ts";
import type { AuditActor } from "../../store/store.ts";
import { access } from "../workspaces/public.ts";
import { type AccountsDeps, newSession, openSession, signedInAs, type SignedIn } from "./session.ts";
import { readRecoveryToken } from "./recovery-token.ts";
import {
  findRecoverable,
  findUserByEmail,
  insertReset,
  resetExists,
  revokeSessionsOf,
  setPassword,
  takeReset,
} from "./store.ts";

const LINK_LIFETIME_MS = 3_600_000;

/**
 * Mails a link to whoever has an account. The answer is the same for everybody, and so is the work but for one row and
 * one mail: the audit log keeps either. Without mail nothing happens: an administrator makes the link.
 */
export async function requestReset(deps: AccountsDeps, from: AuditActor, email: string): Promise<void> {
  const { store, limits, mail } = deps;
  limits.mail(from.origin.ip, email);
  const draft = draftReset(deps, email);
  await store.write(async (tx) => {
    const user = await findUserByEmail(tx, email);
    const target = { type: "user", id: user?.id ?? null, name: email };
    await tx.audit(from, { workspaceId: null, action: "password.reset_requested", target });
    if (user?.status !== "active" || !mail.isConfigured) return;
    await insertReset(tx, { ...draft, userId: user.id }, draft.now);
    await mail.enqueue(tx, draft.letter);
  });
}

export interface ResetLink {
  /** Null when it was mailed: then nobody but the user sees it. */
  readonly url: string | null;
  readonly expiresAt: number;
}

/** For an administrator of the server whom a user asks. The link of an administrator only an owner may make. */
export async function makeResetLink(deps: AccountsDeps, caller: Caller, email: string): Promise<ResetLink> {
  const { store, mail } = deps;
  const draft = draftReset(deps, email);
  await store.write(async (tx) => {
    await requireInstanceRole(access, tx, caller);
    const user = await findUserByEmail(tx, email);
    if (user?.status !== "active") throw new ApiError("not-found", "there is no active account with this address");
    refuseRise(user, await access.instanceRole(tx, caller.userId));
    await insertReset(tx, { ...draft, userId: user.id }, draft.now);
    if (mail.isConfigured) await mail.enqueue(tx, draft.letter);
    await tx.audit(caller, {
      workspaceId: null,
      action: "password.reset_link_made",
      target: { type: "user", id: user.id, name: user.email },
      details: { mailed: mail.isConfigured },
    });
  });
  return { url: mail.isConfigured ? null : draft.url, expiresAt: draft.expiresAt };
}

/** Who holds the link becomes that user, so it must not lead to more power than its maker has. */
function refuseRise(user: UserRow, callerRole: string | null): void {
  if (user.admin_role === null || callerRole === "admin-owner") return;
  throw new ForbiddenError("the password of an administrator can be reset by an admin-owner only", null);
}

/**
 * Sets the password, ends all sessions of the user and signs in. `token` is of a link, or of the operator. Throws 410
 * `token-invalid`.
 */
export async function confirmReset(
  deps: AccountsDeps,
  from: AuditActor,
  { token, newPassword }: { token: string; newPassword: string },
): Promise<SignedIn> {
  const { store, clock, passwords, limits, mail } = deps;
  limits.address(from.origin.ip);
  const now = clock.now();
  const tokenHash = hashToken(token);
  // Looked up before the password is hashed: guesses cost nothing.
  const recovery = readRecoveryToken(deps.recoveryKey, token, now);
  const isLink = tokenKind(token) === "pr" && (await store.read((tx) => resetExists(tx, tokenHash, now)));
  if (!recovery && !isLink) throw invalid();
  const hash = await passwords.hash(newPassword);
  const session = newSession(now, from.origin);
  return store.write(async (tx) => {
    const userId = recovery
      ? await findRecoverable(tx, recovery, store.sql.forUpdate)
      : await takeReset(tx, tokenHash, now);
    const verifiedAt = mail.isConfigured ? now : null;
    const user = userId === null ? undefined : await setPassword(tx, userId, { hash, verifiedAt, now });
    if (!user) throw invalid();
    await revokeSessionsOf(tx, user.id, now);
    tx.afterCommit(() => deps.accessChanged({ userId: user.id }));
    await tx.audit(
      { ...from, userId: user.id },
      { workspaceId: null, action: "password.reset", target: { type: "user", id: user.id, name: user.email } },
    );
    await openSession(tx, session, user, from);
    return signedInAs(tx, user, session);
  });
}

function invalid(): ApiError {
  return new ApiError("token-invalid", "the link is unknown, was used, or has expired; ask for a new one");
}

function draftReset({ clock, mail, publicUrl }: AccountsDeps, email: string) {
  const now = clock.now();
  const token = newToken("pr");
  const url = `${publicUrl}/auth/reset?token=${token}`;
  const letter = mail.seal(
    {
      to: email,
      subject: "Set a new Shipfox password",
      paragraphs: ["Open this link within an hour to set a new password for your account."],
      link: url,
    },
    LINK_LIFETIME_MS,
  );
  return { now, url, letter, tokenHash: hashToken(token), expiresAt: now + LINK_LIFETIME_MS };
}
