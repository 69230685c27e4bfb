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
