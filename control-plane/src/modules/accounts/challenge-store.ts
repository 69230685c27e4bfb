import type { EmailChallengeRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

export function lockChallenge(
  tx: WriteTx,
  challengeId: string,
  forUpdate: string,
): Promise<EmailChallengeRow | undefined> {
  return tx.get<EmailChallengeRow>(`select * from email_challenges where id = ?${forUpdate}`, [challengeId]);
}

/** The newest one of the user. */
export function findLatestChallenge(tx: Tx, userId: string): Promise<EmailChallengeRow | undefined> {
  const sql = "select * from email_challenges where user_id = ? order by created_at desc, id desc limit 1";
  return tx.get<EmailChallengeRow>(sql, [userId]);
}

/** The user's earlier challenges end with it. */
export async function insertChallenge(tx: WriteTx, row: EmailChallengeRow): Promise<void> {
  await tx.run("delete from email_challenges where user_id = ?", [row.user_id]);
  const sql = `insert into email_challenges (id, user_id, code_hash, sends, wrong_codes, sent_at, expires_at, created_at)
    values (?, ?, ?, ?, ?, ?, ?, ?)`;
  const { id, user_id, code_hash, sends, wrong_codes, sent_at, expires_at, created_at } = row;
  await tx.run(sql, [id, user_id, code_hash, sends, wrong_codes, sent_at, expires_at, created_at]);
}

/** The code that was mailed before is worth nothing from now on. */
export async function replaceCode(
  tx: WriteTx,
  challengeId: string,
  code: { hash: string; now: number; expiresAt: number },
): Promise<void> {
  const sql = "update email_challenges set code_hash = ?, sends = sends + 1, sent_at = ?, expires_at = ? where id = ?";
  await tx.run(sql, [code.hash, code.now, code.expiresAt, challengeId]);
}

export async function countWrongCode(tx: WriteTx, challengeId: string): Promise<void> {
  await tx.run("update email_challenges set wrong_codes = wrong_codes + 1 where id = ?", [challengeId]);
}

export async function consumeChallenge(tx: WriteTx, challengeId: string, now: number): Promise<void> {
  await tx.run("update email_challenges set consumed_at = ? where id = ?", [now, challengeId]);
}

export async function sendsSince(tx: Tx, of: "destination" | "source", hash: string, since: number): Promise<number[]> {
  const sql = `select sent_at from email_challenge_sends where ${of}_hash = ? and sent_at > ? order by sent_at desc limit 100`;
  return (await tx.all<{ sent_at: number }>(sql, [hash, since])).map((row) => row.sent_at);
}

/** Also forgets those sent before `before`. */
export async function insertSend(
  tx: WriteTx,
  send: { id: string; destination: string; source: string; now: number },
  before: number,
): Promise<void> {
  await tx.run("delete from email_challenge_sends where sent_at <= ?", [before]);
  const sql = "insert into email_challenge_sends (id, destination_hash, source_hash, sent_at) values (?, ?, ?, ?)";
  await tx.run(sql, [send.id, send.destination, send.source, send.now]);
}
