import { hashToken } from "@shipfox/shared/tokens";
import type { AuditActor, WriteTx } from "../../store/store.ts";
import { sessionIdOf } from "./refresh-token.ts";
import type { AccountsDeps } from "./session.ts";
import { lockSession, revokeSession } from "./store.ts";

/** Ends the session of the cookie, or without one that of the access token. Never fails because there is none. */
export async function logOut(
  deps: AccountsDeps,
  from: AuditActor,
  { refreshToken, authorization }: { refreshToken: string | null; authorization: string | undefined },
): Promise<void> {
  const { store } = deps;
  if (refreshToken === null) {
    const bearerSession = sessionOfBearer(deps, authorization);
    if (bearerSession !== null) await store.write((tx) => endSession(deps, tx, from, bearerSession));
    return;
  }
  const sessionId = sessionIdOf(refreshToken);
  if (sessionId === null) return;
  const hash = hashToken(refreshToken);
  await store.write(async (tx) => {
    const session = await lockSession(tx, sessionId, store.sql.forUpdate);
    const isOwn = session?.token_hash === hash || session?.previous_token_hash === hash;
    if (isOwn) await endSession(deps, tx, from, sessionId);
  });
}

async function endSession(deps: AccountsDeps, tx: WriteTx, from: AuditActor, sessionId: string): Promise<void> {
  const userId = await revokeSession(tx, sessionId, from.origin.at);
  if (userId === null) return;
  const target = { type: "session", id: sessionId };
  await tx.audit({ ...from, userId }, { workspaceId: null, action: "session.ended", target });
  tx.afterCommit(() => deps.accessChanged({ sessionId }));
}

function sessionOfBearer({ tokens }: AccountsDeps, authorization: string | undefined): string | null {
  const token = authorization?.split(" ")[1];
  if (token === undefined) return null;
  try {
    return tokens.verifyUser(token).refreshSessionId;
  } catch {
    return null;
  }
}
