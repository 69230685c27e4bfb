import { ConfigError } from "@shipfox/shared/config";
import { newId } from "@shipfox/shared/ids";
import type { UserRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { findUserByEmail } from "../accounts/public.ts";
import { setAdminRole } from "./store.ts";

const OWNER = "admin-owner";
const ADMINS = "select * from users where admin_role is not null and status <> 'deleted' order by created_at, id";

/** Who administers the server, those who came first first. */
export function listAdmins(store: Store): Promise<UserRow[]> {
  return store.readSlow<UserRow>(ADMINS);
}

/**
 * Makes an account an owner of the server, for who has its database and no administrator. Written to the audit log. False when it
 * is one. Throws ConfigError when there is no such account, or it is suspended.
 */
export function promote(store: Store, email: string, now: number): Promise<boolean> {
  return store.write(async (tx) => {
    const user = await findUserByEmail(tx, email);
    if (!user || user.status === "deleted") throw new ConfigError(`there is no account ${email}`);
    if (user.status !== "active")
      throw new ConfigError(`the account ${email} is ${user.status}; it cannot be promoted`);
    if (user.admin_role === OWNER) return false;
    await setAdminRole(tx, user.id, OWNER, now);
    const origin = {
      ip: "127.0.0.1",
      requestId: newId(now),
      userAgent: "shipfox-control-plane admin promote",
      at: now,
    };
    await tx.audit(
      { userId: null, token: null, origin },
      {
        workspaceId: null,
        action: "user.admin_role_changed",
        target: { type: "user", id: user.id, name: user.email },
        details: { role: OWNER, reason: "promoted on the machine of the server" },
      },
    );
    return true;
  });
}
