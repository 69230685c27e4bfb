import { ApiError } from "@shipfox/shared/errors";
import type { AuditActor } from "../../store/store.ts";
import { oldestMembership } from "../workspaces/public.ts";
import { type AccountsDeps, newSession, openSession, type SignedIn } from "./session.ts";
import { findUser, findUserByEmail } from "./store.ts";

/**
 * Throws 401 `invalid-credentials`, in the same words and the same time whatever was wrong. Both ways out are in the
 * audit log of the server.
 */
export async function logIn(
  deps: AccountsDeps,
  from: AuditActor,
  request: { email: string; password: string },
): Promise<SignedIn> {
  const { store, clock, passwords } = deps;
  const found = await store.read((tx) => findUserByEmail(tx, request.email));
  if (!(await passwords.verify(found?.password_hash ?? null, request.password)) || !found) {
    const target = { type: "user", id: found?.id ?? null, name: request.email };
    await store.write((tx) =>
      tx.audit(from, { workspaceId: null, action: "session.refused", outcome: "failed", target }),
    );
    throw refused();
  }
  const now = clock.now();
  const session = newSession(now);
  return store.write(async (tx) => {
    const user = await findUser(tx, found.id);
    if (user?.status !== "active" || user.password_hash !== found.password_hash) throw refused();
    await openSession(tx, session, user.id, now);
    await tx.audit(
      { ...from, userId: user.id },
      {
        workspaceId: null,
        action: "session.opened",
        target: { type: "user", id: user.id, name: user.email },
      },
    );
    const membership = await oldestMembership(tx, user.id);
    return { user, sessionId: session.id, refreshToken: session.refreshToken, membership };
  });
}

function refused(): ApiError {
  return new ApiError("invalid-credentials", "the e-mail address or the password is wrong");
}
