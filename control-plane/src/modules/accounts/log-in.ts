import { ApiError } from "@shipfox/shared/errors";
import type { AuditActor } from "../../store/store.ts";
import { mustVerify } from "./email-challenges.ts";
import { type AccountsDeps, newSession, openSession, signedInAs, type SignedIn } from "./session.ts";
import { findUser, findUserByEmail } from "./store.ts";

/**
 * Throws 401 `invalid-credentials`, in the same words and the same time whatever was wrong, 403 `email-not-verified` only
 * to who knows the password, and 429 `rate-limited`. Both ways out are in the audit log of the server.
 */
export async function logIn(
  deps: AccountsDeps,
  from: AuditActor,
  request: { email: string; password: string },
): Promise<SignedIn> {
  const { store, clock, passwords, limits, mail } = deps;
  limits.password(from.origin.ip, request.email);
  const found = await store.read((tx) => findUserByEmail(tx, request.email));
  const isRight = await passwords.verify(found?.password_hash ?? null, request.password);
  if (!isRight || found?.status !== "active") {
    const target = { type: "user", id: found?.id ?? null, name: request.email };
    await store.write((tx) =>
      tx.audit(from, { workspaceId: null, action: "session.refused", outcome: "failed", target }),
    );
    throw refused();
  }
  if (mustVerify(found, mail)) throw new ApiError("email-not-verified", "type the code that was mailed to you first");
  const session = newSession(clock.now(), from.origin);
  return store.write(async (tx) => {
    const user = await findUser(tx, found.id);
    if (user?.status !== "active" || user.password_hash !== found.password_hash) throw refused();
    await openSession(tx, session, user, from);
    return signedInAs(tx, user, session);
  });
}

function refused(): ApiError {
  return new ApiError("invalid-credentials", "the e-mail address or the password is wrong");
}
