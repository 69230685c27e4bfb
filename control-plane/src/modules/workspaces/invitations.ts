import { ApiError } from "@shipfox/shared/errors";
import type { InvitationPreview, Role } from "@shipfox/shared/api/workspaces";
import { newId } from "@shipfox/shared/ids";
import { hashToken, newToken } from "@shipfox/shared/tokens";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { FixedWindows } from "../../http/fixed-windows.ts";
import type { Clock } from "../../store/clock.ts";
import type { MembershipRow } from "../../store/schema.ts";
import type { AuditActor, Store, Tx, WriteTx } from "../../store/store.ts";
import type { Mail } from "../mail/public.ts";
import {
  deleteInvitation,
  findInvitation,
  findPendingInvitation,
  hasOpenInvitation,
  insertInvitation,
  type KnownInvitation,
  type ListedInvitation,
  listOpenInvitations,
  markAccepted,
  renewInvitation,
} from "./invitation-store.ts";
import { isMemberAddress, lockMembers } from "./member-store.ts";
import { checkInvitedRole } from "./model.ts";
import { findMembershipOf, insertMembership } from "./store.ts";

const LIFETIME_MS = 7 * 24 * 3_600_000;

export interface InvitationsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly mail: Mail;
  /** Where people open the link. */
  readonly publicUrl: string;
}

/**
 * Invites an address to a workspace. The link is mailed; without a mail server it is answered, once, to who invites. Throws
 * 403 `forbidden`, 409 `open-invitation-exists` and `already-a-member`.
 */
export function invite(
  deps: InvitationsDeps,
  caller: Caller,
  request: { workspaceId: string; email: string; role: Role },
): Promise<{ invitation: ListedInvitation; link: string | null }> {
  const { store, clock, access, mail } = deps;
  const { workspaceId, email, role } = request;
  const now = clock.now();
  const { tokenHash, link, letter } = makeLink(deps, email);
  const row = {
    id: newId(now),
    workspace_id: workspaceId,
    email,
    role,
    token_hash: tokenHash,
    invited_by: caller.userId,
    expires_at: now + LIFETIME_MS,
    accepted_at: null,
    created_at: now,
    updated_at: now,
  };
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    await lockMembers(tx, workspaceId, store.sql.forUpdate);
    checkInvitedRole(workspaceId, await requireAbility(access, tx, caller, workspaceId), role);
    await requireNoMember(tx, workspaceId, email);
    await requireNoOpenInvitation(tx, workspaceId, email, now);
    await insertInvitation(tx, row);
    if (mail.isConfigured) await mail.enqueue(tx, letter);
    const target = { type: "invitation", id: row.id, name: email };
    await tx.audit(caller, { workspaceId, action: "invitation.created", target, details: { role } });
    return { invitation: await requireMade(tx, tokenHash), link: mail.isConfigured ? null : link };
  });
}

/**
 * Another link for an invitation that nobody accepted, good for a week from now on; the former link is worth nothing. It goes
 * where the first one went. Throws 404 `not-found`, 403 `forbidden`, 409 `open-invitation-exists` and `already-a-member`,
 * 429 `rate-limited`.
 */
export async function resend(
  deps: InvitationsDeps & { readonly resends: FixedWindows },
  caller: Caller,
  { workspaceId, invitationId }: { workspaceId: string; invitationId: string },
): Promise<{ invitation: ListedInvitation; link: string | null }> {
  const { store, clock, access, mail } = deps;
  const requirePending = async (tx: Tx) => {
    const role = await requireAbility(access, tx, caller, workspaceId);
    const pending = await findPendingInvitation(tx, workspaceId, invitationId);
    if (!pending) throw new ApiError("not-found", "the workspace has no such invitation that waits for an answer");
    checkInvitedRole(workspaceId, role, pending.role as Role);
    return pending;
  };
  const { email } = await store.read(requirePending);
  deps.resends.take(invitationId);
  const now = clock.now();
  const { tokenHash, link, letter } = makeLink(deps, email);
  return store.write(async (tx) => {
    await lockMembers(tx, workspaceId, store.sql.forUpdate);
    const { expires_at, role } = await requirePending(tx);
    await requireNoMember(tx, workspaceId, email);
    // Somebody may have been invited anew after his first invitation had expired.
    if (expires_at <= now) await requireNoOpenInvitation(tx, workspaceId, email, now);
    await renewInvitation(tx, {
      id: invitationId,
      invitedBy: caller.userId,
      tokenHash,
      expiresAt: now + LIFETIME_MS,
      now,
    });
    if (mail.isConfigured) await mail.enqueue(tx, letter);
    const target = { type: "invitation", id: invitationId, name: email };
    await tx.audit(caller, { workspaceId, action: "invitation.resent", target, details: { role } });
    return { invitation: await requireMade(tx, tokenHash), link: mail.isConfigured ? null : link };
  });
}

/** The letter must be sealed before the transaction, so it is made with the link, mailed or not. */
function makeLink({ mail, publicUrl }: InvitationsDeps, email: string) {
  const token = newToken("i");
  const link = `${publicUrl.replace(/\/$/, "")}/invitations/accept?token=${token}`;
  const letter = mail.seal(
    {
      to: email,
      subject: "You are invited to a Shipfox workspace",
      paragraphs: ["Open this link within seven days to become a member. It works once, and for this address only."],
      link,
    },
    LIFETIME_MS,
  );
  return { tokenHash: hashToken(token), link, letter };
}

async function requireNoMember(tx: Tx, workspaceId: string, email: string): Promise<void> {
  if (await isMemberAddress(tx, workspaceId, email))
    throw new ApiError("already-a-member", "a member has this address; change his role instead");
}

async function requireNoOpenInvitation(tx: Tx, workspaceId: string, email: string, now: number): Promise<void> {
  if (await hasOpenInvitation(tx, workspaceId, email, now)) {
    throw new ApiError(
      "open-invitation-exists",
      "the address has an open invitation; resend it, or delete it to make another one",
    );
  }
}

async function requireMade(tx: Tx, tokenHash: string): Promise<ListedInvitation> {
  const invitation = await findInvitation(tx, tokenHash);
  if (!invitation) throw new Error("the invitation that was just made is not there");
  return invitation;
}

export function readInvitations(
  { store, clock, access }: InvitationsDeps,
  caller: Caller,
  workspaceId: string,
): Promise<ListedInvitation[]> {
  return store.read(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    return listOpenInvitations(tx, workspaceId, clock.now());
  });
}

/** Its link is worth nothing any more. Throws 404 `not-found`. */
export async function withdraw(
  { store, access }: InvitationsDeps,
  caller: Caller,
  { workspaceId, invitationId }: { workspaceId: string; invitationId: string },
): Promise<void> {
  await store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    const deleted = await deleteInvitation(tx, workspaceId, invitationId);
    if (!deleted) throw new ApiError("not-found", "the workspace has no such open invitation");
    const target = { type: "invitation", id: invitationId, name: deleted.email };
    await tx.audit(caller, { workspaceId, action: "invitation.deleted", target });
  });
}

/** What the page of a link shows to somebody who need not be signed in. */
export async function previewInvitation(tx: Tx, token: string, now: number): Promise<InvitationPreview> {
  const found = await findInvitation(tx, hashToken(token));
  if (!found || found.workspace_status !== "active") return { status: "invalid" };
  const { workspace_name } = found;
  if (found.accepted_at !== null) return { status: "already_used", workspace_name };
  const expires_at = new Date(found.expires_at).toISOString();
  if (found.expires_at <= now) return { status: "expired", workspace_name, expires_at };
  const { workspace_id, email, invited_by_display } = found;
  return { status: "pending", workspace_id, workspace_name, email, invited_by_display, expires_at };
}

/** Throws 410 `invitation-token-invalid`, `-used` or `-expired`, and 403 `invitation-email-mismatch`. */
export async function requireInvitation(
  tx: Tx,
  request: { token: string; email: string; now: number },
): Promise<KnownInvitation> {
  const found = await findInvitation(tx, hashToken(request.token));
  if (!found || found.workspace_status !== "active") throw new ApiError("invitation-token-invalid");
  if (found.email !== request.email)
    throw new ApiError("invitation-email-mismatch", "the invitation is for another e-mail address than yours");
  if (found.accepted_at !== null) throw new ApiError("invitation-token-used");
  if (found.expires_at <= request.now) throw new ApiError("invitation-token-expired");
  return found;
}

/** Makes the user a member. Whoever is one already stays what he is. Throws what `requireInvitation` throws. */
export async function acceptInvitation(
  tx: WriteTx,
  actor: AuditActor,
  request: { token: string; user: { id: string; email: string }; membershipId: string; now: number; forUpdate: string },
): Promise<{ membership: Pick<MembershipRow, "id" | "user_id" | "workspace_id">; alreadyMember: boolean }> {
  const { token, user, membershipId, now } = request;
  const invitation = await requireInvitation(tx, { token, email: user.email, now });
  const workspaceId = invitation.workspace_id;
  await lockMembers(tx, workspaceId, request.forUpdate);
  if (!(await markAccepted(tx, invitation.id, now))) throw new ApiError("invitation-token-used");
  const known = await findMembershipOf(tx, workspaceId, user.id);
  const times = { created_at: now, updated_at: now };
  const membership = known ?? { id: membershipId, user_id: user.id, workspace_id: workspaceId };
  if (!known) await insertMembership(tx, { ...membership, role: invitation.role, ...times });
  const target = { type: "invitation", id: invitation.id, name: user.email };
  const details = { role: invitation.role, user_id: user.id };
  await tx.audit({ ...actor, userId: user.id }, { workspaceId, action: "invitation.accepted", target, details });
  const { id, user_id, workspace_id } = membership;
  return { membership: { id, user_id, workspace_id }, alreadyMember: known !== undefined };
}
