import type { AccessTokenRow, StreamTicketRow } from "../../store/schema.ts";
import type { SqlValue, Tx, WriteTx } from "../../store/store.ts";

const USABLE = `select t.id, t.user_id, t.workspace_id, t.abilities, t.last_used_at from access_tokens t join users u on u.id = t.user_id
  where t.revoked_at is null and (t.expires_at is null or t.expires_at > ?) and u.status = 'active'`;
const USABLE_BY_HASH = `${USABLE} and t.token_hash = ?`;
const USABLE_BY_ID = `${USABLE} and t.id = ?`;
const INSERT = `insert into access_tokens (id, user_id, workspace_id, name, prefix, token_hash, abilities, expires_at, created_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const LIVE_SESSION = `select 1 as found from refresh_sessions s join users u on u.id = s.user_id
  where s.id = ? and s.revoked_at is null and s.expires_at > ? and u.status = 'active'`;

export type UsableToken = Pick<AccessTokenRow, "id" | "user_id" | "workspace_id" | "abilities" | "last_used_at">;

/** The token with this hash, unless it or its owner has been shut out. */
export function findUsable(tx: Tx, tokenHash: string, now: number): Promise<UsableToken | undefined> {
  return tx.get(USABLE_BY_HASH, [now, tokenHash]);
}

export function findUsableById(tx: Tx, tokenId: string, now: number): Promise<UsableToken | undefined> {
  return tx.get(USABLE_BY_ID, [now, tokenId]);
}

export function findToken(tx: Tx, tokenId: string): Promise<AccessTokenRow | undefined> {
  return tx.get<AccessTokenRow>("select * from access_tokens where id = ?", [tokenId]);
}

export async function insertToken(tx: WriteTx, row: AccessTokenRow): Promise<void> {
  const { id, user_id, workspace_id, name, prefix, token_hash, abilities, expires_at, created_at } = row;
  const values = [id, user_id, workspace_id, name, prefix, token_hash, abilities, expires_at, created_at];
  await tx.run(INSERT, values);
}

/** How many of the user's tokens are not revoked. */
export async function countTokens(tx: Tx, userId: string): Promise<number> {
  const sql = "select count(*) as tokens from access_tokens where user_id = ? and revoked_at is null";
  return (await tx.get<{ tokens: number }>(sql, [userId]))?.tokens ?? 0;
}

/** Forgets the user's tokens that were revoked or expired before `before`. */
export async function deleteDeadTokens(tx: WriteTx, userId: string, before: number): Promise<void> {
  await tx.run("delete from access_tokens where user_id = ? and (revoked_at <= ? or expires_at <= ?)", [
    userId,
    before,
    before,
  ]);
}

export interface TokenFilter {
  readonly userId: string;
  readonly workspaceId: string | undefined;
  readonly after: readonly [createdAt: number, id: string] | null;
  readonly limit: number;
}

/** Those that are not revoked, newest first. */
export function listTokens(tx: Tx, { userId, workspaceId, after, limit }: TokenFilter): Promise<AccessTokenRow[]> {
  const conditions = ["user_id = ?", "revoked_at is null"];
  const params: SqlValue[] = [userId];
  if (workspaceId !== undefined) {
    conditions.push("workspace_id = ?");
    params.push(workspaceId);
  }
  if (after !== null) {
    conditions.push("(created_at, id) < (?, ?)");
    params.push(...after);
  }
  const sql = `select * from access_tokens where ${conditions.join(" and ")} order by created_at desc, id desc limit ?`;
  return tx.all<AccessTokenRow>(sql, [...params, limit]);
}

/** The token that was revoked; undefined when the user has no such token, or it was revoked before. */
export function revokeToken(
  tx: WriteTx,
  userId: string,
  tokenId: string,
  now: number,
): Promise<AccessTokenRow | undefined> {
  const sql = "update access_tokens set revoked_at = ? where id = ? and user_id = ? and revoked_at is null returning *";
  return tx.get<AccessTokenRow>(sql, [now, tokenId, userId]);
}

export async function markUsed(tx: WriteTx, tokenId: string, now: number): Promise<void> {
  await tx.run("update access_tokens set last_used_at = ? where id = ?", [now, tokenId]);
}

/** False when the user has `limit` tickets that can still be used. */
export async function insertTicket(tx: WriteTx, row: StreamTicketRow, limit: number, now: number): Promise<boolean> {
  await tx.run("delete from stream_tickets where expires_at <= ?", [now]);
  const count = "select count(*) as tickets from stream_tickets where user_id = ?";
  if (((await tx.get<{ tickets: number }>(count, [row.user_id]))?.tickets ?? 0) >= limit) return false;
  const sql = `insert into stream_tickets (ticket_hash, user_id, refresh_session_id, access_token_id, workspace_id, path, expires_at)
    values (?, ?, ?, ?, ?, ?, ?)`;
  const { ticket_hash, user_id, refresh_session_id, access_token_id, workspace_id, path, expires_at } = row;
  await tx.run(sql, [ticket_hash, user_id, refresh_session_id, access_token_id, workspace_id, path, expires_at]);
  return true;
}

/** Of two that come at the same moment one gets it. */
export function takeTicket(tx: WriteTx, ticketHash: string): Promise<StreamTicketRow | undefined> {
  return tx.get<StreamTicketRow>("delete from stream_tickets where ticket_hash = ? returning *", [ticketHash]);
}

export async function isLiveSession(tx: Tx, sessionId: string, now: number): Promise<boolean> {
  return (await tx.get(LIVE_SESSION, [sessionId, now])) !== undefined;
}
