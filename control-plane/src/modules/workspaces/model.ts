import { ROLES, type Role } from "@shipfox/shared/api/workspaces";
import { ApiError } from "@shipfox/shared/errors";
import { roleHas } from "../../http/abilities.ts";
import { ForbiddenError } from "../../http/access.ts";

/** What a decision about a member knows. Whoever is suspended is no active owner: he cannot look after the workspace. */
export interface MemberChange {
  readonly workspaceId: string;
  readonly actorRole: Role;
  readonly memberRole: Role;
  readonly memberIsActive: boolean;
  readonly activeOwners: number;
}

/** Owners are made and unmade by owners only, and an active one is always left. Throws 403 `forbidden` or 409 `last-owner`. */
export function checkRoleChange(change: MemberChange, newRole: Role): void {
  if (change.memberRole === newRole) return;
  requireOwnerFor(change, newRole);
  keepAnOwner(change);
}

/** Whoever may manage members removes all but owners, whom owners remove. Throws 403 `forbidden` or 409 `last-owner`. */
export function checkRemoval(change: MemberChange): void {
  requireOwnerFor(change, change.memberRole);
  keepAnOwner(change);
}

/** Nobody invites somebody to more than he has himself. Throws 403 `forbidden`. */
export function checkInvitedRole(workspaceId: string, actorRole: Role, role: Role): void {
  if (role === "owner" && actorRole !== "owner")
    throw new ForbiddenError("only an owner invites another owner", workspaceId, { role: actorRole });
}

/** The roles to which somebody with this role, or without one, may not have invited: his open invitations to them are worth nothing. */
export function rolesBeyond(role: Role | null): readonly Role[] {
  if (role === null || !roleHas(role, "members:manage")) return ROLES;
  return role === "owner" ? [] : ["owner"];
}

function requireOwnerFor({ workspaceId, actorRole, memberRole }: MemberChange, newRole: Role): void {
  if (actorRole === "owner" || (memberRole !== "owner" && newRole !== "owner")) return;
  throw new ForbiddenError("owners are made, changed and removed by owners only", workspaceId, { role: actorRole });
}

/** Whoever leaves is not the last active owner. Throws 409 `last-owner`. */
export function keepAnOwner({ memberRole, memberIsActive, activeOwners }: MemberChange): void {
  if (memberRole === "owner" && memberIsActive && activeOwners <= 1) {
    throw new ApiError("last-owner", "the workspace would have no owner; make somebody else an owner first");
  }
}
