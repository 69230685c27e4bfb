import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { type Route, route } from "../../../http/route.ts";
import type { Clock } from "../../../store/clock.ts";
import type { Store } from "../../../store/store.ts";
import { GIT_PROVIDER } from "../repository-url.ts";
import { findConnection } from "../store.ts";
import { lookNow } from "./store.ts";

export interface GitPushRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** Has due looks made. */
  readonly wake: () => void;
}

/** Where a git host says that something was pushed. What it says besides is not read: the repository is looked at instead. */
export function createGitPushRoutes({ store, clock, wake }: GitPushRoutesDeps): Route[] {
  return [
    route({
      method: "POST",
      path: "/webhooks/integrations/git/{connectionId}",
      tag: "Integrations",
      summary: "Say that something was pushed: the repositories of a git connection are looked at now",
      credential: "none",
      rate: "webhook",
      params: z.object({ connectionId: id }),
      responses: { 204: null },
      errors: ["not-found"],
      handle: async ({ params: { connectionId } }) => {
        const now = clock.now();
        await store.write(async (tx) => {
          const connection = await findConnection(tx, connectionId);
          if (connection?.provider !== GIT_PROVIDER || connection.lifecycle_status !== "active") {
            throw new ApiError("not-found", "there is no such git connection, or it is not active");
          }
          await lookNow(tx, connectionId, now);
          tx.afterCommit(wake);
        });
        return { status: 204 };
      },
    }),
  ];
}
