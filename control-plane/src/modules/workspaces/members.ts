import type { Role } from "@shipfox/shared/api/workspaces";
import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { AccessChanged } from "../../http/open-streams.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import {
  countActiveOwners,
  deleteMember,
  findMember,
  type ListedMember,
  listMembers,
  lockMembers,
  setRole,
} from "./member-store.ts";
import { deleteInvitationsOf } from "./invitation-store.ts";
import { checkRemoval, checkRoleChange, keepAnOwner, type MemberChange, rolesBeyond } from "./model.ts";

export interface MembersDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  /** Told after the commit, so that streams that are open end. */
  readonly accessChanged: AccessChanged;
}

export function readMembers(
  { store, access }: MembersDeps,
  caller: Caller,
  workspaceId: string,
): Promise<ListedMember[]> {
  return store.read(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    return listMembers(tx, workspaceId);
  });
}

/** Gives a member another role. Throws what `checkRoleChange` throws, and 404 `not-found`. */
export function changeRole(
  deps: MembersDeps,
  caller: Caller,
  { workspaceId, userId, role }: { workspaceId: string; userId: string; role: Role },
): Promise<ListedMember> {
  const now = deps.clock.now();
  return deps.store.write(async (tx) => {
    const { member, change } = await lockChange(deps, tx, caller, { workspaceId, userId });
    checkRoleChange(change, role);
    if (member.role === role) return member;
    await setRole(tx, member.id, role, now);
    await tx.audit(caller, {
      workspaceId,
      action: "member.role_changed",
      target: { type: "user", id: userId, name: member.user_email },
      details: { from: member.role, to: role },
    });
    await withdrawInvitations(tx, caller, member, role);
    tx.afterCommit(() => deps.accessChanged({ userId }));
    return { ...member, role, updated_at: now };
  });
}

/** Throws what `checkRemoval` throws, 404 `not-found` and 409 `self-removal-not-allowed`. */
export async function removeMember(
  deps: MembersDeps,
  caller: Caller,
  { workspaceId, userId }: { workspaceId: string; userId: string },
): Promise<void> {
  const now = deps.clock.now();
  await deps.store.write(async (tx) => {
    const { member, change } = await lockChange(deps, tx, caller, { workspaceId, userId });
    if (userId === caller.userId) {
      const message = "nobody removes himself; POST /workspaces/{workspaceId}/leave ends your own membership";
      throw new ApiError("self-removal-not-allowed", message);
    }
    checkRemoval(change);
    await endMembership(deps, tx, caller, { member, action: "member.removed", now });
  });
}

/** Ends the caller's own membership. Throws 409 `last-owner`. */
export async function leaveWorkspace(deps: MembersDeps, caller: Caller, workspaceId: string): Promise<void> {
  const now = deps.clock.now();
  await deps.store.write(async (tx) => {
    const { member, change } = await lockChange(deps, tx, caller, { workspaceId, userId: caller.userId });
    keepAnOwner(change);
    await endMembership(deps, tx, caller, { member, action: "member.left", now });
  });
}

async function lockChange(
  { store, access }: MembersDeps,
  tx: WriteTx,
  caller: Caller,
  { workspaceId, userId }: { workspaceId: string; userId: string },
): Promise<{ member: ListedMember; change: MemberChange }> {
  await requireAbility(access, tx, caller, workspaceId);
  await lockMembers(tx, workspaceId, store.sql.forUpdate);
  // Again, because it may be less than it was before the others were done.
  const actorRole = await requireAbility(access, tx, caller, workspaceId);
  const member = await findMember(tx, workspaceId, userId);
  if (!member) throw new ApiError("not-found", "the workspace has no such member");
  const facts = { memberRole: member.role as Role, memberIsActive: member.user_status === "active" };
  const activeOwners = await countActiveOwners(tx, workspaceId);
  return { member, change: { workspaceId, actorRole, ...facts, activeOwners } };
}

/** He must not come back, or bring others in, by an invitation that he could not make any more. `role` null: he is no member. */
async function withdrawInvitations(
  tx: WriteTx,
  caller: Caller,
  { user_id: userId, workspace_id: workspaceId }: ListedMember,
  role: Role | null,
): Promise<void> {
  const roles = rolesBeyond(role);
  if (roles.length === 0) return;
  for (const { id, email } of await deleteInvitationsOf(tx, { workspaceId, userId, roles })) {
    const target = { type: "invitation", id, name: email };
    const details = { invited_by: userId };
    await tx.audit(caller, { workspaceId, action: "invitation.deleted", target, details });
  }
}

async function endMembership(
  deps: MembersDeps,
  tx: WriteTx,
  caller: Caller,
  { member, action, now }: { member: ListedMember; action: string; now: number },
): Promise<void> {
  await deleteMember(tx, member, now);
  const target = { type: "user", id: member.user_id, name: member.user_email };
  await tx.audit(caller, { workspaceId: member.workspace_id, action, target });
  await withdrawInvitations(tx, caller, member, null);
  tx.afterCommit(() => deps.accessChanged({ userId: member.user_id }));
}
