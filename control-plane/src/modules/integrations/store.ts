import type { ConnectionRow, ProjectRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

/** False when the slug is taken in the workspace. */
export async function insertConnection(tx: WriteTx, row: ConnectionRow): Promise<boolean> {
  const sql = `insert into connections (id, workspace_id, provider, external_account_id, slug, display_name,
      lifecycle_status, settings, sealed_credential, created_at, updated_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (workspace_id, slug) do nothing`;
  const values = [row.id, row.workspace_id, row.provider, row.external_account_id, row.slug, row.display_name];
  values.push(row.lifecycle_status, row.settings);
  return (await tx.run(sql, [...values, row.sealed_credential, row.created_at, row.updated_at])) === 1;
}

export function findConnection(tx: Tx, connectionId: string): Promise<ConnectionRow | undefined> {
  return tx.get<ConnectionRow>("select * from connections where id = ?", [connectionId]);
}

export function listConnections(tx: Tx, workspaceId: string): Promise<ConnectionRow[]> {
  return tx.all<ConnectionRow>("select * from connections where workspace_id = ? order by created_at, id", [
    workspaceId,
  ]);
}

/** Where a project's code comes from. */
export type ProjectSourceRow = ConnectionRow & Pick<ProjectRow, "external_repository_id" | "default_branch">;

const PROJECT_SOURCE = `select c.*, p.external_repository_id, p.default_branch
  from projects p join connections c on c.id = p.connection_id where p.id = ?`;

/** Of the project of a workspace with this id or slug. */
export function findSourceOf(tx: Tx, workspaceId: string, project: string): Promise<ProjectSourceRow | undefined> {
  const sql = `select c.*, p.external_repository_id, p.default_branch from projects p join connections c on c.id = p.connection_id
    where p.workspace_id = ? and (p.id = ? or p.slug = ?) order by case when p.id = ? then 0 else 1 end limit 1`;
  return tx.get<ProjectSourceRow>(sql, [workspaceId, project, project, project]);
}

export function findConnectionCalled(tx: Tx, workspaceId: string, slug: string): Promise<ConnectionRow | undefined> {
  return tx.get<ConnectionRow>("select * from connections where workspace_id = ? and slug = ?", [workspaceId, slug]);
}

/** The default branch of a repository that some project is made of. */
export async function findDefaultBranch(tx: Tx, connectionId: string, externalId: string): Promise<string | null> {
  const sql = "select default_branch from projects where connection_id = ? and external_repository_id = ? limit 1";
  return (await tx.get<{ default_branch: string }>(sql, [connectionId, externalId]))?.default_branch ?? null;
}

export function findProjectSource(tx: Tx, projectId: string): Promise<ProjectSourceRow | undefined> {
  return tx.get<ProjectSourceRow>(PROJECT_SOURCE, [projectId]);
}

/** What a change of a connection starts from; the row is locked until the unit ends. */
export function lockConnection(
  tx: WriteTx,
  forUpdate: string,
  connectionId: string,
): Promise<ConnectionRow | undefined> {
  return tx.get<ConnectionRow>(`select * from connections where id = ?${forUpdate}`, [connectionId]);
}

export async function updateConnection(
  tx: WriteTx,
  row: Omit<ConnectionRow, "workspace_id" | "provider" | "slug" | "sealed_credential" | "created_at">,
): Promise<void> {
  const sql = `update connections set external_account_id = ?, lifecycle_status = ?, display_name = ?, settings = ?,
      updated_at = ? where id = ?`;
  const { external_account_id, lifecycle_status, display_name, settings, updated_at } = row;
  await tx.run(sql, [external_account_id, lifecycle_status, display_name, settings, updated_at, row.id]);
}

export async function removeConnection(tx: WriteTx, connectionId: string): Promise<void> {
  await tx.run("delete from connections where id = ?", [connectionId]);
}

export type ProjectOfConnection = Pick<
  ProjectRow,
  "id" | "name" | "external_repository_id" | "default_branch" | "archived_at"
>;

/** The projects whose code comes from a connection, in order of their repositories. */
export function listProjectsOf(tx: Tx, connectionId: string): Promise<ProjectOfConnection[]> {
  const sql = `select id, name, external_repository_id, default_branch, archived_at from projects where connection_id = ?
    order by external_repository_id`;
  return tx.all<ProjectOfConnection>(sql, [connectionId]);
}
