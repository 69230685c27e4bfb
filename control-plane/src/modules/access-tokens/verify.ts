import { ApiError } from "@shipfox/shared/errors";
import { hashToken } from "@shipfox/shared/tokens";
import type { AccessTokens } from "../../http/authenticate.ts";
import type { Ability } from "../../http/abilities.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { findUsable } from "./store.ts";

/** Looks every presented token up, so that a revoked one is worth nothing with the next call. */
export function createAccessTokens({ store, clock }: { store: Store; clock: Clock }): AccessTokens {
  return {
    verify: async (token) => {
      const found = await store.read((tx) => findUsable(tx, hashToken(token), clock.now()));
      if (!found) throw new ApiError("unauthorized", "the access token is unknown, expired or revoked; mint a new one");
      const abilities = JSON.parse(found.abilities) as Ability[];
      const facts = { id: found.id, workspaceId: found.workspace_id, abilities };
      return { userId: found.user_id, refreshSessionId: null, token: facts };
    },
  };
}
