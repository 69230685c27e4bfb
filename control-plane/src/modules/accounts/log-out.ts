import { hashToken } from "@shipfox/shared/tokens";
import { sessionIdOf } from "./refresh-token.ts";
import type { AccountsDeps } from "./session.ts";
import { lockSession, revokeSession } from "./store.ts";

/** Ends the session of the cookie, or without one that of the access token. Never fails because there is none. */
export async function logOut(
  deps: AccountsDeps,
  { refreshToken, authorization }: { refreshToken: string | null; authorization: string | undefined },
): Promise<void> {
  const { store, clock, accessChanged } = deps;
  const now = clock.now();
  if (refreshToken === null) {
    const bearerSession = sessionOfBearer(deps, authorization);
    if (bearerSession === null) return;
    await store.write((tx) => revokeSession(tx, bearerSession, now));
    accessChanged({ sessionId: bearerSession });
    return;
  }
  const sessionId = sessionIdOf(refreshToken);
  if (sessionId === null) return;
  const hash = hashToken(refreshToken);
  await store.write(async (tx) => {
    const session = await lockSession(tx, sessionId, store.sql.forUpdate);
    if (session?.token_hash === hash || session?.previous_token_hash === hash) await revokeSession(tx, sessionId, now);
  });
  accessChanged({ sessionId });
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
