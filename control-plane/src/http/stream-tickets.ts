import type { Tx } from "../store/store.ts";
import type { UserPrincipal } from "./caller.ts";

/**
 * The credential of one stream for clients that cannot send headers: EventSource puts it into the query, a WebSocket into
 * its first message. Implemented by the access-tokens module.
 */
export interface StreamTickets {
  /**
   * Uses the ticket up, also when it is refused. `path` is that of the request, without its query. Throws 401
   * `unauthorized` for a ticket that is unknown, used, expired or for another path, and when whoever made it has since
   * been shut out.
   */
  redeem(ticket: string, path: string): Promise<UserPrincipal>;
}

/** Whether what somebody once showed is still good, for what lasts longer than a request. */
export interface Standing {
  /** False when he was suspended or has signed out, or when his access token was revoked or has expired. */
  isGood(tx: Tx, principal: UserPrincipal): Promise<boolean>;
}
