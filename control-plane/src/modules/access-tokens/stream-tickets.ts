import { ApiError } from "@shipfox/shared/errors";
import { hashToken, newToken, tokenKind } from "@shipfox/shared/tokens";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller, UserPrincipal } from "../../http/caller.ts";
import type { Standing, StreamTickets } from "../../http/stream-tickets.ts";
import type { Clock } from "../../store/clock.ts";
import type { StreamTicketRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import { findUsableById, insertTicket, isLiveSession, takeTicket } from "./store.ts";
import { factsOf } from "./verify.ts";

const TICKET_LIFETIME_MS = 60_000;
/** Tickets of one user that can still be used; far more than one who opens streams ever has. */
const MAX_OPEN_TICKETS = 100;

type Maker = Pick<StreamTicketRow, "user_id" | "refresh_session_id" | "access_token_id">;

/** A ticket may do what its maker may: no more, and only as long. */
export class Tickets implements StreamTickets, Standing {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #access: Access;

  constructor({ store, clock, access }: { store: Store; clock: Clock; access: Access }) {
    this.#store = store;
    this.#clock = clock;
    this.#access = access;
  }

  /** Throws 403 `forbidden` when the workspace is none of the caller's, 429 `rate-limited` when he has too many tickets. */
  async create(
    caller: Caller,
    { path, workspaceId }: { path: string; workspaceId: string | null },
  ): Promise<{ ticket: string; expiresAt: number }> {
    const now = this.#clock.now();
    const ticket = newToken("st");
    const expiresAt = now + TICKET_LIFETIME_MS;
    const row: StreamTicketRow = {
      ticket_hash: hashToken(ticket),
      user_id: caller.userId,
      refresh_session_id: caller.refreshSessionId,
      access_token_id: caller.token?.id ?? null,
      workspace_id: workspaceId,
      path,
      expires_at: expiresAt,
    };
    const made = await this.#store.write(async (tx) => {
      if (workspaceId !== null) await requireAbility(this.#access, tx, caller, workspaceId);
      if (!(await this.#maker(tx, row, now))) return null;
      return insertTicket(tx, row, MAX_OPEN_TICKETS, now);
    });
    if (made === null) throw new ApiError("unauthorized", "the session has ended; sign in again");
    if (!made) {
      const seconds = TICKET_LIFETIME_MS / 1_000;
      throw new ApiError("rate-limited", `you have ${MAX_OPEN_TICKETS} unused stream tickets; use those`, {
        details: { retry_after_seconds: seconds },
        headers: { "retry-after": String(seconds) },
      });
    }
    return { ticket, expiresAt };
  }

  async redeem(ticket: string, path: string): Promise<UserPrincipal> {
    const principal = tokenKind(ticket) === "st" ? await this.#take(hashToken(ticket), path) : null;
    if (principal) return principal;
    throw new ApiError("unauthorized", "the stream ticket is unknown, used, expired or for another path; ask for one");
  }

  async isGood(tx: Tx, { userId, refreshSessionId, token }: UserPrincipal): Promise<boolean> {
    const maker = { user_id: userId, refresh_session_id: refreshSessionId, access_token_id: token?.id ?? null };
    return (await this.#maker(tx, maker, this.#clock.now())) !== null;
  }

  #take(ticketHash: string, path: string): Promise<UserPrincipal | null> {
    const now = this.#clock.now();
    return this.#store.write(async (tx) => {
      const row = await takeTicket(tx, ticketHash);
      if (!row || row.expires_at <= now || row.path !== path) return null;
      const maker = await this.#maker(tx, row, now);
      if (!maker || row.workspace_id === null) return maker;
      return { ...maker, onlyWorkspaceId: row.workspace_id };
    });
  }

  /** Null when he was suspended, has signed out, or when his token was revoked or has expired. */
  async #maker(tx: Tx, row: Maker, now: number): Promise<UserPrincipal | null> {
    const { user_id: userId, refresh_session_id: sessionId, access_token_id: tokenId } = row;
    if (tokenId === null) {
      const isSignedIn = sessionId !== null && (await isLiveSession(tx, sessionId, now));
      return isSignedIn ? { userId, refreshSessionId: sessionId, token: null } : null;
    }
    const token = await findUsableById(tx, tokenId, now);
    return token ? { userId, refreshSessionId: null, token: factsOf(token) } : null;
  }
}
