import type { Role } from "@shipfox/shared/api/workspaces";
import type { MembershipRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

export type ListedMember = MembershipRow & { user_email: string; user_name: string | null; user_status: string };

const LISTED = `select m.*, u.email as user_email, u.name as user_name, u.status as user_status
  from memberships m join users u on u.id = m.user_id where m.workspace_id = ?`;

/** Oldest first. */
export function listMembers(tx: Tx, workspaceId: string): Promise<ListedMember[]> {
  return tx.all<ListedMember>(`${LISTED} order by m.created_at, m.id`, [workspaceId]);
}

export function findMember(tx: Tx, workspaceId: string, userId: string): Promise<ListedMember | undefined> {
  return tx.get<ListedMember>(`${LISTED} and m.user_id = ?`, [workspaceId, userId]);
}

export async function isMemberAddress(tx: Tx, workspaceId: string, email: string): Promise<boolean> {
  const sql =
    "select 1 as found from memberships m join users u on u.id = m.user_id where m.workspace_id = ? and u.email = ?";
  return (await tx.get(sql, [workspaceId, email])) !== undefined;
}

/** Members are changed one after another, so that two owners cannot each remove the other. */
export async function lockMembers(tx: WriteTx, workspaceId: string, forUpdate: string): Promise<void> {
  await tx.get(`select id from workspaces where id = ?${forUpdate}`, [workspaceId]);
}

/** Those who can act as owners: whoever is suspended cannot. */
export async function countActiveOwners(tx: Tx, workspaceId: string): Promise<number> {
  const sql = `select count(*) as "count" from memberships m join users u on u.id = m.user_id
    where m.workspace_id = ? and m.role = 'owner' and u.status = 'active'`;
  return (await tx.get<{ count: number }>(sql, [workspaceId]))?.count ?? 0;
}

export async function setRole(tx: WriteTx, membershipId: string, role: Role, now: number): Promise<void> {
  await tx.run("update memberships set role = ?, updated_at = ? where id = ?", [role, now, membershipId]);
}

/** Also ends what the person may do here by access tokens. */
export async function deleteMember(tx: WriteTx, member: MembershipRow, now: number): Promise<void> {
  await tx.run("delete from memberships where id = ?", [member.id]);
  const tokens =
    "update access_tokens set revoked_at = ? where user_id = ? and workspace_id = ? and revoked_at is null";
  await tx.run(tokens, [now, member.user_id, member.workspace_id]);
}
