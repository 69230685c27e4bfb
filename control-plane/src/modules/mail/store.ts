import type { MailRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

export async function insertMail(
  tx: WriteTx,
  mail: Pick<MailRow, "id" | "sealed_letter" | "due_at" | "expires_at" | "created_at">,
): Promise<void> {
  const sql =
    "insert into mail_queue (id, sealed_letter, attempts, due_at, expires_at, created_at) values (?, ?, 0, ?, ?, ?)";
  await tx.run(sql, [mail.id, mail.sealed_letter, mail.due_at, mail.expires_at, mail.created_at]);
}

/** True when at least `limit` mails wait. */
export async function isQueueFull(tx: Tx, limit: number): Promise<boolean> {
  return (await tx.get("select id from mail_queue limit 1 offset ?", [limit - 1])) !== undefined;
}

/** Takes what is due, oldest first; nobody else takes it before `until`. */
export function takeDue(tx: WriteTx, now: number, until: number, limit: number): Promise<MailRow[]> {
  const sql = `update mail_queue set due_at = ?, attempts = attempts + 1
    where id in (select id from mail_queue where due_at <= ? order by due_at limit ?) and due_at <= ? returning *`;
  return tx.all<MailRow>(sql, [until, now, limit, now]);
}

export async function deleteMail(tx: WriteTx, id: string): Promise<void> {
  await tx.run("delete from mail_queue where id = ?", [id]);
}

export async function postpone(tx: WriteTx, id: string, dueAt: number, error: string): Promise<void> {
  await tx.run("update mail_queue set due_at = ?, last_error = ? where id = ?", [dueAt, error, id]);
}

export async function nextDue(tx: Tx): Promise<number | null> {
  return (await tx.get<{ next: number | null }>("select min(due_at) as next from mail_queue"))?.next ?? null;
}
