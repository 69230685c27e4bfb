import { hashToken } from "@shipfox/shared/tokens";
import type { AuditActor } from "../../store/store.ts";
import { oldestMembership } from "../workspaces/public.ts";
import { decideRefresh, REFRESH_LIFETIME_MS } from "./model.ts";
import { newRefreshToken, sessionIdOf } from "./refresh-token.ts";
import type { AccountsDeps, SignedIn } from "./session.ts";
import { findUser, lockSession, revokeSessionsOf, rotateSession } from "./store.ts";

/** Exchanges a refresh token. Null when it is not good any more; one that was replaced ends all sessions of its user. */
export async function refreshSession(
  deps: AccountsDeps,
  from: AuditActor,
  presented: string,
): Promise<SignedIn | null> {
  const { store, clock, log } = deps;
  const sessionId = sessionIdOf(presented);
  if (sessionId === null) return null;
  const next = newRefreshToken(sessionId);
  const now = clock.now();
  return store.write(async (tx) => {
    const session = await lockSession(tx, sessionId, store.sql.forUpdate);
    const user = session && (await findUser(tx, session.user_id));
    if (!session || !user) return null;
    const verdict = decideRefresh(session, user, hashToken(presented), now);
    if (verdict === "refuse") return null;
    if (verdict === "reused") {
      await revokeSessionsOf(tx, user.id, now);
      tx.afterCommit(() => deps.accessChanged({ userId: user.id }));
      await tx.audit(from, {
        workspaceId: null,
        action: "session.reuse_detected",
        outcome: "denied",
        target: { type: "user", id: user.id, name: user.email },
        details: { session_id: sessionId },
      });
      tx.afterCommit(() =>
        log.warn(
          { userId: user.id, sessionId },
          "a replaced refresh token was used again: all sessions of the user were ended",
        ),
      );
      return null;
    }
    if (verdict === "rotate") {
      await rotateSession(tx, { id: sessionId, tokenHash: hashToken(next), expiresAt: now + REFRESH_LIFETIME_MS, now });
    }
    const membership = await oldestMembership(tx, user.id);
    return { user, sessionId, refreshToken: verdict === "rotate" ? next : null, membership };
  });
}
