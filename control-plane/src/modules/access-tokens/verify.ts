import type { Ability } from "@shipfox/shared/api/access-tokens";
import { ApiError } from "@shipfox/shared/errors";
import type { Logger } from "@shipfox/shared/logger";
import { hashToken } from "@shipfox/shared/tokens";
import type { AccessTokens } from "../../http/authenticate.ts";
import type { AccessTokenFacts } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { findUsable, markUsed, type UsableToken } from "./store.ts";

/** The time of the last use is written at most this often: a token may call a thousand times a second. */
const LAST_USED_STEP_MS = 5 * 60_000;

/** Looks every presented token up, so that a revoked one is worth nothing with the next call. */
export function createAccessTokens({ store, clock, log }: { store: Store; clock: Clock; log: Logger }): AccessTokens {
  const marking = new Set<string>();

  function noteUse({ id, last_used_at: last }: UsableToken, now: number): void {
    if ((last !== null && now - last < LAST_USED_STEP_MS) || marking.has(id)) return;
    marking.add(id);
    store
      .write((tx) => markUsed(tx, id, now))
      .catch((error: unknown) => log.warn({ err: error }, "the last use of an access token could not be written down"))
      .finally(() => marking.delete(id));
  }

  return {
    verify: async (token) => {
      const now = clock.now();
      const found = await store.read((tx) => findUsable(tx, hashToken(token), now));
      if (!found) throw new ApiError("unauthorized", "the access token is unknown, expired or revoked; mint a new one");
      noteUse(found, now);
      return { userId: found.user_id, refreshSessionId: null, token: factsOf(found) };
    },
  };
}

export function factsOf({ id, workspace_id, abilities }: UsableToken): AccessTokenFacts {
  return { id, workspaceId: workspace_id, abilities: JSON.parse(abilities) as Ability[] };
}
