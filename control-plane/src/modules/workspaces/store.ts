import type { Role } from "@shipfox/shared/api/workspaces";
import { ApiError } from "@shipfox/shared/errors";
import type { MembershipRow, WorkspaceRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

const ROLE = `select m.role, w.status from memberships m join workspaces w on w.id = m.workspace_id join users u on u.id = m.user_id
  where m.user_id = ? and m.workspace_id = ? and u.status = 'active'`;
const INSTANCE_ROLE = "select admin_role from users where id = ? and status = 'active'";

/** Throws for a member of a workspace that is not active: 403 `workspace-inactive`, 409 `workspace-suspended`. */
export async function findRole(tx: Tx, userId: string, workspaceId: string): Promise<Role | null> {
  const row = await tx.get<{ role: Role; status: string }>(ROLE, [userId, workspaceId]);
  if (row?.status === "deleted") throw new ApiError("workspace-inactive", "the workspace was deleted");
  if (row?.status === "suspended")
    throw new ApiError("workspace-suspended", "the workspace is suspended; ask an administrator of the server");
  return row?.role ?? null;
}

export async function findInstanceRole(tx: Tx, userId: string): Promise<string | null> {
  return (await tx.get<{ admin_role: string | null }>(INSTANCE_ROLE, [userId]))?.admin_role ?? null;
}

export type ListedMembership = MembershipRow & {
  workspace_name: string;
  workspace_slug: string;
  workspace_status: string;
};

export function listMemberships(tx: Tx, userId: string): Promise<ListedMembership[]> {
  const sql = `select m.*, w.name as workspace_name, w.slug as workspace_slug, w.status as workspace_status
    from memberships m join workspaces w on w.id = m.workspace_id where m.user_id = ? order by w.name, m.id`;
  return tx.all<ListedMembership>(sql, [userId]);
}

/** What a session reply tells of the memberships of a user: the oldest one. */
export async function oldestMembership(
  tx: Tx,
  userId: string,
): Promise<Pick<MembershipRow, "id" | "user_id" | "workspace_id"> | null> {
  const sql = "select id, user_id, workspace_id from memberships where user_id = ? order by created_at, id limit 1";
  return (await tx.get<MembershipRow>(sql, [userId])) ?? null;
}

/** False when the slug is taken. */
export async function insertWorkspace(tx: WriteTx, workspace: WorkspaceRow): Promise<boolean> {
  const { id, name, slug, status, last_event, created_at, updated_at } = workspace;
  const sql = `insert into workspaces (id, name, slug, status, last_event, created_at, updated_at)
    values (?, ?, ?, ?, ?, ?, ?) on conflict (slug) do nothing`;
  return (await tx.run(sql, [id, name, slug, status, last_event, created_at, updated_at])) === 1;
}

export async function insertMembership(tx: WriteTx, membership: MembershipRow): Promise<void> {
  const { id, user_id, workspace_id, role, created_at, updated_at } = membership;
  const sql =
    "insert into memberships (id, user_id, workspace_id, role, created_at, updated_at) values (?, ?, ?, ?, ?, ?)";
  await tx.run(sql, [id, user_id, workspace_id, role, created_at, updated_at]);
}

export function findWorkspace(tx: Tx, id: string): Promise<WorkspaceRow | undefined> {
  return tx.get<WorkspaceRow>("select * from workspaces where id = ?", [id]);
}

export async function isSlugFree(tx: Tx, slug: string): Promise<boolean> {
  return (await tx.get("select 1 as found from workspaces where slug = ?", [slug])) === undefined;
}

export async function updateWorkspace(tx: WriteTx, { id, name, slug, updated_at }: WorkspaceRow): Promise<void> {
  await tx.run("update workspaces set name = ?, slug = ?, updated_at = ? where id = ?", [name, slug, updated_at, id]);
}

export async function setStatus(tx: WriteTx, id: string, status: string, now: number): Promise<void> {
  await tx.run("update workspaces set status = ?, updated_at = ? where id = ?", [status, now, id]);
}

export function findMembershipOf(tx: Tx, workspaceId: string, userId: string): Promise<MembershipRow | undefined> {
  return tx.get<MembershipRow>("select * from memberships where workspace_id = ? and user_id = ?", [
    workspaceId,
    userId,
  ]);
}
