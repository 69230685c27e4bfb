import { ApiError } from "@shipfox/shared/errors";
import { ForbiddenError, requireInstanceRole } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { UserRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { findUser, revokeSessionsOf } from "../accounts/public.ts";
import { type OperationsDeps, requireKey } from "./deps.ts";
import { lockOwners, setAdminRole, setUserStatus } from "./store.ts";

const OWNER = "admin-owner";

interface UserChange {
  readonly userId: string;
  readonly reason: string | undefined;
}

/** Ends the sessions of a user and lets him in no more. Throws 409 `user-already-suspended` and `last-admin-owner`. */
export function suspendUser(deps: OperationsDeps, caller: Caller, change: UserChange): Promise<UserRow> {
  return changeUser(deps, caller, { ...change, action: "user.suspended" }, async (tx, user, { owners, now }) => {
    if (user.status !== "active") throw new ApiError("user-already-suspended", "the user is suspended already");
    keepAnOwner(user, owners);
    await setUserStatus(tx, user.id, "suspended", now);
    await revokeSessionsOf(tx, user.id, now);
    return { ...user, status: "suspended", updated_at: now };
  });
}

/** Throws 409 `user-not-suspended`. */
export function reactivateUser(deps: OperationsDeps, caller: Caller, change: UserChange): Promise<UserRow> {
  return changeUser(deps, caller, { ...change, action: "user.reactivated" }, async (tx, user, { now }) => {
    if (user.status !== "suspended") throw new ApiError("user-not-suspended", "the user is not suspended");
    await setUserStatus(tx, user.id, "active", now);
    return { ...user, status: "active", updated_at: now };
  });
}

/** His access tokens of a sign-in are good until they expire, at most 15 minutes. */
export function endSessions(
  deps: OperationsDeps,
  caller: Caller,
  change: UserChange,
): Promise<UserRow & { ended: number }> {
  return changeUser(deps, caller, { ...change, action: "user.sessions_revoked" }, async (tx, user, { now }) => {
    return { ...user, ended: await revokeSessionsOf(tx, user.id, now) };
  });
}

/** The role that the user has already is given without a trace. Throws 409 `last-admin-owner`. */
export function changeAdminRole(
  deps: OperationsDeps,
  caller: Caller,
  { role, ...change }: UserChange & { role: string | null },
): Promise<UserRow> {
  const details = { role };
  const act = { ...change, action: "user.admin_role_changed", details };
  return changeUser(deps, caller, act, async (tx, user, { owners, now }) => {
    if (user.admin_role === role) return user;
    if (role !== OWNER) keepAnOwner(user, owners);
    await setAdminRole(tx, user.id, role, now);
    return { ...user, admin_role: role, updated_at: now };
  });
}

interface Act extends UserChange {
  readonly action: string;
  readonly details?: Record<string, unknown>;
}

async function changeUser<Changed extends UserRow>(
  deps: OperationsDeps,
  caller: Caller,
  { userId, reason, action, details }: Act,
  /** Answers the row as it is now: the one it was given when nothing was to be changed. */
  effect: (tx: WriteTx, user: UserRow, facts: { owners: number; now: number }) => Promise<Changed>,
): Promise<Changed> {
  const { store, clock, access } = deps;
  const now = clock.now();
  return store.write(async (tx) => {
    await requireInstanceRole(access, tx, caller);
    requireKey(caller);
    const owners = await lockOwners(tx, store.sql.forUpdate);
    // Two who take each other's role away at the same moment: the second has lost his by now.
    await requireInstanceRole(access, tx, caller);
    const user = await findUser(tx, userId);
    if (!user || user.status === "deleted") throw new ApiError("not-found", "there is no such user");
    refuseRise(user, await access.instanceRole(tx, caller.userId));
    const changed = await effect(tx, user, { owners, now });
    if (changed === user) return changed;
    await tx.audit(caller, {
      workspaceId: null,
      action,
      target: { type: "user", id: userId, name: user.email },
      details: { ...details, reason: reason ?? null },
    });
    tx.afterCommit(() => deps.accessChanged({ userId }));
    return changed;
  });
}

/** Administrators are managed by owners of the server only. */
function refuseRise(user: UserRow, callerRole: string | null): void {
  if (user.admin_role === null || callerRole === OWNER) return;
  throw new ForbiddenError("an administrator is changed by an admin-owner only", null, { role: callerRole });
}

function keepAnOwner({ status, admin_role }: UserRow, owners: number): void {
  if (status === "active" && admin_role === OWNER && owners <= 1) {
    throw new ApiError("last-admin-owner", "the server would have no owner; make somebody else one first");
  }
}
