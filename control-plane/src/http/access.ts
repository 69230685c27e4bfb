import { ApiError } from "@shipfox/shared/errors";
import type { Tx } from "../store/store.ts";

export type Role = "owner" | "admin" | "maintainer" | "viewer";

/** What of a member's role a route needs: `read` is any member, `write` starts and changes things, `admin` manages people and machines. */
export type Right = "read" | "write" | "admin";

/** Memberships, looked up live in the same snapshot or transaction as what they guard. Implemented by the workspaces module. */
export interface Access {
  role(tx: Tx, userId: string, workspaceId: string): Promise<Role | null>;
}

const RIGHTS: Record<Role, readonly Right[]> = {
  owner: ["read", "write", "admin"],
  admin: ["read", "write", "admin"],
  maintainer: ["read", "write"],
  viewer: ["read"],
};

/** For routes whose caller named the workspace: 403 `forbidden` for everybody without the right. */
export async function requireRight(
  access: Access,
  tx: Tx,
  userId: string,
  workspaceId: string,
  right: Right,
): Promise<void> {
  const role = await access.role(tx, userId, workspaceId);
  if (!role) throw new ApiError("forbidden", "you are not a member of this workspace");
  requireRole(role, right);
}

/** For routes that name a thing by its id: whoever is no member learns nothing, not even that it exists. */
export async function requireVisible(
  access: Access,
  tx: Tx,
  userId: string,
  workspaceId: string,
  right: Right,
  hidden: () => ApiError,
): Promise<void> {
  const role = await access.role(tx, userId, workspaceId);
  if (!role) throw hidden();
  requireRole(role, right);
}

function requireRole(role: Role, right: Right): void {
  if (!RIGHTS[role].includes(right)) {
    throw new ApiError("forbidden", `your role in this workspace is ${role}, which does not allow this`, {
      details: { role, needed: right },
    });
  }
}
