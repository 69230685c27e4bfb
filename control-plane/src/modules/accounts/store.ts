import type { RefreshSessionRow, UserRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

export async function accountExists(tx: Tx): Promise<boolean> {
  return (await tx.get("select 1 as found from instance where id = 1")) !== undefined;
}

/** False when an account exists already. On PostgreSQL a second caller waits here for the first one's end. */
export async function claimInstance(tx: WriteTx, userId: string, now: number): Promise<boolean> {
  const sql = "insert into instance (id, first_user_id, created_at) values (1, ?, ?) on conflict (id) do nothing";
  return (await tx.run(sql, [userId, now])) === 1;
}

/** False when the e-mail address is taken. */
export async function insertUser(tx: WriteTx, user: UserRow): Promise<boolean> {
  const sql = `insert into users (id, email, name, password_hash, status, admin_role, email_verified_at, created_at, updated_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (email) do nothing`;
  const { id, email, name, password_hash, status, admin_role, email_verified_at, created_at, updated_at } = user;
  const values = [id, email, name, password_hash, status, admin_role, email_verified_at, created_at, updated_at];
  return (await tx.run(sql, values)) === 1;
}

export function findUser(tx: Tx, userId: string): Promise<UserRow | undefined> {
  return tx.get<UserRow>("select * from users where id = ?", [userId]);
}

export function findUserByEmail(tx: Tx, email: string): Promise<UserRow | undefined> {
  return tx.get<UserRow>("select * from users where email = ?", [email]);
}

type NewSessionRow = Omit<RefreshSessionRow, "previous_token_hash" | "rotated_at" | "revoked_at">;

/** Also forgets the user's sessions that have expired, so that the table does not grow with the years. */
export async function insertSession(tx: WriteTx, session: NewSessionRow): Promise<void> {
  await tx.run("delete from refresh_sessions where user_id = ? and expires_at <= ?", [
    session.user_id,
    session.created_at,
  ]);
  const { id, user_id, token_hash, expires_at, ip, user_agent, created_at } = session;
  await tx.run(
    "insert into refresh_sessions (id, user_id, token_hash, expires_at, ip, user_agent, created_at) values (?, ?, ?, ?, ?, ?, ?)",
    [id, user_id, token_hash, expires_at, ip, user_agent, created_at],
  );
}

/** Locks the row. */
export function lockSession(tx: WriteTx, sessionId: string, forUpdate: string): Promise<RefreshSessionRow | undefined> {
  return tx.get<RefreshSessionRow>(`select * from refresh_sessions where id = ?${forUpdate}`, [sessionId]);
}

export async function rotateSession(
  tx: WriteTx,
  session: { id: string; tokenHash: string; expiresAt: number; now: number },
): Promise<void> {
  await tx.run(
    "update refresh_sessions set previous_token_hash = token_hash, token_hash = ?, rotated_at = ?, expires_at = ? where id = ?",
    [session.tokenHash, session.now, session.expiresAt, session.id],
  );
}

/** The user whose session ended; null when it had ended before. */
export async function revokeSession(tx: WriteTx, sessionId: string, now: number): Promise<string | null> {
  const sql = "update refresh_sessions set revoked_at = ? where id = ? and revoked_at is null returning user_id";
  return (await tx.get<{ user_id: string }>(sql, [now, sessionId]))?.user_id ?? null;
}

/** Answers how many had not ended. */
export function revokeSessionsOf(tx: WriteTx, userId: string, now: number): Promise<number> {
  return tx.run("update refresh_sessions set revoked_at = ? where user_id = ? and revoked_at is null", [now, userId]);
}

/** Those that can still be refreshed, newest first. */
export function listSessions(tx: Tx, userId: string, now: number, limit: number): Promise<RefreshSessionRow[]> {
  const sql = `select * from refresh_sessions where user_id = ? and revoked_at is null and expires_at > ?
    order by created_at desc, id desc limit ?`;
  return tx.all<RefreshSessionRow>(sql, [userId, now, limit]);
}

/** False when the user has no such session, or it has ended. */
export async function revokeOwnSession(tx: WriteTx, userId: string, sessionId: string, now: number): Promise<boolean> {
  const sql = "update refresh_sessions set revoked_at = ? where id = ? and user_id = ? and revoked_at is null";
  return (await tx.run(sql, [now, sessionId, userId])) === 1;
}

/** All but those with the ids of `kept`. */
export async function revokeOtherSessions(
  tx: WriteTx,
  userId: string,
  kept: readonly (string | null)[],
  now: number,
): Promise<void> {
  const [first = "", second = ""] = kept.map((id) => id ?? "");
  const sql =
    "update refresh_sessions set revoked_at = ? where user_id = ? and revoked_at is null and id not in (?, ?)";
  await tx.run(sql, [now, userId, first, second]);
}

export async function setName(tx: WriteTx, userId: string, name: string, now: number): Promise<UserRow | undefined> {
  const sql = "update users set name = ?, updated_at = ? where id = ? and status = 'active' returning *";
  return tx.get<UserRow>(sql, [name, now, userId]);
}

export async function setVerified(tx: WriteTx, userId: string, now: number): Promise<UserRow | undefined> {
  const sql = "update users set email_verified_at = ?, updated_at = ? where id = ? returning *";
  return tx.get<UserRow>(sql, [now, now, userId]);
}

/** `verifiedAt` counts only for an address that was not proven before. */
export async function setPassword(
  tx: WriteTx,
  userId: string,
  change: { hash: string; verifiedAt: number | null; now: number },
): Promise<UserRow | undefined> {
  const sql = `update users set password_hash = ?, email_verified_at = coalesce(email_verified_at, ?), updated_at = ?
    where id = ? and status = 'active' returning *`;
  return tx.get<UserRow>(sql, [change.hash, change.verifiedAt, change.now, userId]);
}

/** Also forgets those that have expired. */
export async function insertReset(
  tx: WriteTx,
  reset: { tokenHash: string; userId: string; expiresAt: number },
  now: number,
): Promise<void> {
  await tx.run("delete from password_resets where expires_at <= ?", [now]);
  const sql = "insert into password_resets (token_hash, user_id, expires_at) values (?, ?, ?)";
  await tx.run(sql, [reset.tokenHash, reset.userId, reset.expiresAt]);
}

export async function resetExists(tx: Tx, tokenHash: string, now: number): Promise<boolean> {
  return (
    (await tx.get("select 1 as found from password_resets where token_hash = ? and expires_at > ?", [
      tokenHash,
      now,
    ])) !== undefined
  );
}

/** The user whose password the token may set; it and the user's others are used up. */
export async function takeReset(tx: WriteTx, tokenHash: string, now: number): Promise<string | null> {
  const sql = "delete from password_resets where token_hash = ? and expires_at > ? returning user_id";
  const taken = await tx.get<{ user_id: string }>(sql, [tokenHash, now]);
  if (!taken) return null;
  await tx.run("delete from password_resets where user_id = ?", [taken.user_id]);
  return taken.user_id;
}

/** The account of that address, unless it was changed after `issuedAt`. Locks the row. */
export async function findRecoverable(
  tx: WriteTx,
  { email, issuedAt }: { email: string; issuedAt: number },
  forUpdate: string,
): Promise<string | null> {
  const sql = `select id, updated_at from users where email = ?${forUpdate}`;
  const user = await tx.get<Pick<UserRow, "id" | "updated_at">>(sql, [email]);
  return user && user.updated_at < issuedAt ? user.id : null;
}
