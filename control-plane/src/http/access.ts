import type { Ability } from "@shipfox/shared/api/access-tokens";
import type { Role } from "@shipfox/shared/api/workspaces";
import { ApiError } from "@shipfox/shared/errors";
import type { Tx } from "../store/store.ts";
import { isAbility, roleHas } from "./abilities.ts";
import type { Caller } from "./caller.ts";

/** Administrators of the whole server, weakest first: one who looks, one who manages people and workspaces, one who may do all. */
const INSTANCE_ROLES = ["admin-observer", "admin-operator", "admin-owner"] as const;

const INSTANCE_NEEDS = {
  "instance:read": "admin-observer",
  "instance:operate": "admin-operator",
  "instance:own": "admin-owner",
} as const;

/** Who may do what, looked up live in the same snapshot or transaction as what it guards. Implemented by the workspaces module. */
export interface Access {
  /** The role of an active user in an active workspace. */
  role(tx: Tx, userId: string, workspaceId: string): Promise<Role | null>;
  /** The role of an active user in the administration of the server. */
  instanceRole(tx: Tx, userId: string): Promise<string | null>;
}

/** 403 `forbidden`, with the workspace whose audit log is told of it; null for the server's own. */
export class ForbiddenError extends ApiError {
  readonly workspaceId: string | null;

  constructor(message: string, workspaceId: string | null, details?: unknown) {
    super("forbidden", message, { details });
    this.workspaceId = workspaceId;
  }
}

/**
 * For routes whose caller named the workspace: 403 `forbidden` for everybody without the ability that the route needs.
 * Answers the role of the others.
 */
export async function requireAbility(access: Access, tx: Tx, caller: Caller, workspaceId: string): Promise<Role> {
  const role = await roleOf(access, tx, caller, workspaceId);
  if (!role) throw new ForbiddenError(strangerMessage(caller, workspaceId), workspaceId);
  requireAll(caller, role, workspaceId);
  return role;
}

/** For routes that name a thing by its id: whoever is no member learns nothing, not even that it exists. */
export async function requireVisible(
  access: Access,
  tx: Tx,
  caller: Caller,
  workspaceId: string,
  hidden: () => ApiError,
): Promise<void> {
  const role = await roleOf(access, tx, caller, workspaceId);
  if (!role) throw hidden();
  requireAll(caller, role, workspaceId);
}

/** For the administration of the server: 403 `forbidden` for everybody whose role there is too weak. */
export async function requireInstanceRole(access: Access, tx: Tx, caller: Caller): Promise<void> {
  const needed = INSTANCE_NEEDS[caller.needs as keyof typeof INSTANCE_NEEDS];
  const role = await access.instanceRole(tx, caller.userId);
  if (role !== null && rank(role) >= rank(needed)) return;
  throw new ForbiddenError(`this is for administrators of the server: it needs the role ${needed}`, null, {
    role,
    needed,
  });
}

/** For routes that answer strangers as if there were nothing; a member without the ability is refused. */
export async function isMember(access: Access, tx: Tx, caller: Caller, workspaceId: string): Promise<boolean> {
  const role = await roleOf(access, tx, caller, workspaceId);
  if (role) requireAll(caller, role, workspaceId);
  return role !== null;
}

function rank(role: string): number {
  return (INSTANCE_ROLES as readonly string[]).indexOf(role);
}

/** A token counts in its own workspace only, and so does a stream ticket that names one. */
async function roleOf(access: Access, tx: Tx, caller: Caller, workspaceId: string): Promise<Role | null> {
  return isForAnother(caller, workspaceId) ? null : access.role(tx, caller.userId, workspaceId);
}

function isForAnother({ token, onlyWorkspaceId }: Caller, workspaceId: string): boolean {
  return [token?.workspaceId, onlyWorkspaceId].some((bound) => bound !== undefined && bound !== workspaceId);
}

function strangerMessage(caller: Caller, workspaceId: string): string {
  return isForAnother(caller, workspaceId)
    ? "the credential is for another workspace"
    : "you are not a member of this workspace";
}

function requireAll(caller: Caller, role: Role, workspaceId: string): void {
  const needed = caller.needs;
  // A route without an ability asks for membership alone.
  if (!isAbility(needed)) return;
  requireRole(role, needed, workspaceId);
  if (caller.token && !caller.token.abilities.includes(needed)) {
    throw new ForbiddenError(`the access token lacks the ability ${needed}; mint one that has it`, workspaceId, {
      needed,
      abilities: caller.token.abilities,
    });
  }
}

function requireRole(role: Role, needed: Ability, workspaceId: string): void {
  if (roleHas(role, needed)) return;
  const message = `your role in this workspace is ${role}, which does not include ${needed}`;
  throw new ForbiddenError(message, workspaceId, { role, needed });
}
