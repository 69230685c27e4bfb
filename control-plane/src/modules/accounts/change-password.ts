import { ApiError } from "@shipfox/shared/errors";
import { hashToken } from "@shipfox/shared/tokens";
import type { Caller } from "../../http/caller.ts";
import { confirmPassword } from "./confirm-password.ts";
import { sessionIdOf } from "./refresh-token.ts";
import type { AccountsDeps } from "./session.ts";
import { findUser, lockSession, revokeOtherSessions, setPassword } from "./store.ts";

/**
 * Ends all sessions but that of the access token and that of the cookie. Throws 401 `invalid-credentials` for a wrong
 * current password, 404 `not-found` when the account is gone.
 */
export async function changePassword(
  deps: AccountsDeps,
  caller: Caller,
  request: { currentPassword: string; newPassword: string; refreshToken: string | null },
): Promise<void> {
  const { store, clock, passwords } = deps;
  if (!(await store.read((tx) => findUser(tx, caller.userId)))) {
    throw new ApiError("not-found", "this account does not exist any more");
  }
  const known = await confirmPassword(deps, caller, request.currentPassword);
  const hash = await passwords.hash(request.newPassword);
  const now = clock.now();
  const { refreshToken } = request;
  const cookieSession = refreshToken === null ? null : sessionIdOf(refreshToken);
  await store.write(async (tx) => {
    const before = await findUser(tx, known.id);
    if (before?.password_hash !== known.password_hash)
      throw new ApiError("invalid-credentials", "the password is wrong");
    const user = await setPassword(tx, known.id, { hash, verifiedAt: null, now });
    if (!user) throw new ApiError("not-found", "this account does not exist any more");
    const session = cookieSession === null ? null : await lockSession(tx, cookieSession, store.sql.forUpdate);
    const isOwn = session !== null && refreshToken !== null && session?.token_hash === hashToken(refreshToken);
    await revokeOtherSessions(tx, user.id, [caller.refreshSessionId, isOwn ? cookieSession : null], now);
    tx.afterCommit(() => deps.accessChanged({ userId: user.id }));
    await tx.audit(caller, {
      workspaceId: null,
      action: "password.changed",
      target: { type: "user", id: user.id, name: user.email },
    });
  });
}
