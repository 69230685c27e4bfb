import type { Role } from "@shipfox/shared/api/workspaces";
import type { InvitationRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

export type ListedInvitation = InvitationRow & { invited_by_display: string | null };
export type KnownInvitation = ListedInvitation & { workspace_name: string; workspace_status: string };

const LISTED = `select i.*, coalesce(u.name, u.email) as invited_by_display, w.name as workspace_name, w.status as workspace_status
  from invitations i join users u on u.id = i.invited_by join workspaces w on w.id = i.workspace_id`;

/** Those that can still be accepted, oldest first. */
export function listOpenInvitations(tx: Tx, workspaceId: string, now: number): Promise<ListedInvitation[]> {
  const sql = `${LISTED} where i.workspace_id = ? and i.accepted_at is null and i.expires_at > ? order by i.created_at, i.id`;
  return tx.all<ListedInvitation>(sql, [workspaceId, now]);
}

export async function hasOpenInvitation(tx: Tx, workspaceId: string, email: string, now: number): Promise<boolean> {
  const sql =
    "select 1 as found from invitations where workspace_id = ? and email = ? and accepted_at is null and expires_at > ?";
  return (await tx.get(sql, [workspaceId, email, now])) !== undefined;
}

export function findInvitation(tx: Tx, tokenHash: string): Promise<KnownInvitation | undefined> {
  return tx.get<KnownInvitation>(`${LISTED} where i.token_hash = ?`, [tokenHash]);
}

/** One that nobody accepted, also after it expired. */
export function findPendingInvitation(tx: Tx, workspaceId: string, id: string): Promise<InvitationRow | undefined> {
  const sql = "select * from invitations where id = ? and workspace_id = ? and accepted_at is null";
  return tx.get<InvitationRow>(sql, [id, workspaceId]);
}

export async function renewInvitation(
  tx: WriteTx,
  {
    id,
    invitedBy,
    tokenHash,
    expiresAt,
    now,
  }: { id: string; invitedBy: string; tokenHash: string; expiresAt: number; now: number },
): Promise<void> {
  const sql = "update invitations set invited_by = ?, token_hash = ?, expires_at = ?, updated_at = ? where id = ?";
  await tx.run(sql, [invitedBy, tokenHash, expiresAt, now, id]);
}

export async function insertInvitation(tx: WriteTx, row: InvitationRow): Promise<void> {
  const { id, workspace_id, email, role, token_hash, invited_by, expires_at, created_at, updated_at } = row;
  const sql = `insert into invitations (id, workspace_id, email, role, token_hash, invited_by, expires_at, created_at, updated_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
  await tx.run(sql, [id, workspace_id, email, role, token_hash, invited_by, expires_at, created_at, updated_at]);
}

/** The deleted one; undefined when the workspace has no such invitation that is open. */
export function deleteInvitation(tx: WriteTx, workspaceId: string, id: string): Promise<InvitationRow | undefined> {
  const sql = "delete from invitations where id = ? and workspace_id = ? and accepted_at is null returning *";
  return tx.get<InvitationRow>(sql, [id, workspaceId]);
}

/** Deletes those of one who invites that nobody accepted and that give one of these roles; answers them. */
export function deleteInvitationsOf(
  tx: WriteTx,
  { workspaceId, userId, roles }: { workspaceId: string; userId: string; roles: readonly Role[] },
): Promise<InvitationRow[]> {
  const sql = `delete from invitations where workspace_id = ? and invited_by = ? and accepted_at is null
    and role in (${roles.map(() => "?").join(", ")}) returning *`;
  return tx.all<InvitationRow>(sql, [workspaceId, userId, ...roles]);
}

/** False when somebody accepted it before. */
export async function markAccepted(tx: WriteTx, id: string, now: number): Promise<boolean> {
  const sql = "update invitations set accepted_at = ?, updated_at = ? where id = ? and accepted_at is null";
  return (await tx.run(sql, [now, now, id])) === 1;
}

/** Whom an invitation can make a member. */
export function findActiveUser(tx: Tx, userId: string): Promise<{ id: string; email: string } | undefined> {
  return tx.get("select id, email from users where id = ? and status = 'active'", [userId]);
}
