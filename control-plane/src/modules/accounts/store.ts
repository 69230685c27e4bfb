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

export type NewSession = Pick<RefreshSessionRow, "id" | "user_id" | "token_hash" | "expires_at" | "created_at">;

/** Also forgets the user's sessions that have expired, so that the table does not grow with the years. */
export async function insertSession(tx: WriteTx, session: NewSession): Promise<void> {
  await tx.run("delete from refresh_sessions where user_id = ? and expires_at <= ?", [
    session.user_id,
    session.created_at,
  ]);
  await tx.run(
    "insert into refresh_sessions (id, user_id, token_hash, expires_at, created_at) values (?, ?, ?, ?, ?)",
    [session.id, session.user_id, session.token_hash, session.expires_at, session.created_at],
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

export async function revokeSession(tx: WriteTx, sessionId: string, now: number): Promise<void> {
  await tx.run("update refresh_sessions set revoked_at = ? where id = ? and revoked_at is null", [now, sessionId]);
}

export async function revokeSessionsOf(tx: WriteTx, userId: string, now: number): Promise<void> {
  await tx.run("update refresh_sessions set revoked_at = ? where user_id = ? and revoked_at is null", [now, userId]);
}
