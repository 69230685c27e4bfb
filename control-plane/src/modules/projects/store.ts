import { containing } from "../../store/containing.ts";
import type { ProjectRow } from "../../store/schema.ts";
import type { SqlValue, Tx, WriteTx } from "../../store/store.ts";

export function findProject(tx: Tx, projectId: string): Promise<ProjectRow | undefined> {
  return tx.get<ProjectRow>("select * from projects where id = ?", [projectId]);
}

export async function workspaceOf(tx: Tx, projectId: string): Promise<string | null> {
  const row = await tx.get<{ workspace_id: string }>("select workspace_id from projects where id = ?", [projectId]);
  return row?.workspace_id ?? null;
}

export function findProjectOf(tx: Tx, connectionId: string, repositoryId: string): Promise<ProjectRow | undefined> {
  const sql = "select * from projects where connection_id = ? and external_repository_id = ?";
  return tx.get<ProjectRow>(sql, [connectionId, repositoryId]);
}

/** False when the slug is taken in the workspace; a repository that has a project already is a ConstraintError. */
export async function insertProject(tx: WriteTx, row: ProjectRow): Promise<boolean> {
  const sql = `insert into projects (id, workspace_id, name, slug, connection_id, external_repository_id, default_branch, created_at, updated_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (workspace_id, slug) do nothing`;
  const { id, workspace_id, name, slug, connection_id, external_repository_id, default_branch } = row;
  const values = [id, workspace_id, name, slug, connection_id, external_repository_id, default_branch];
  return (await tx.run(sql, [...values, row.created_at, row.updated_at])) === 1;
}

export async function setDefaultBranch(tx: WriteTx, projectId: string, branch: string, now: number): Promise<void> {
  await tx.run("update projects set default_branch = ?, updated_at = ? where id = ?", [branch, now, projectId]);
}

/** What of a project may be changed; absent fields stay as they are. */
export interface ProjectFields {
  readonly name: string | undefined;
  readonly slug: string | undefined;
  /** Whether runs of strangers' code get secrets. */
  readonly untrustedSecrets: boolean | undefined;
}

/** Undefined when another project of the workspace has the slug. Absent fields stay as they are. */
export function updateProject(
  tx: WriteTx,
  project: ProjectRow,
  change: ProjectFields,
  now: number,
): Promise<ProjectRow | undefined> {
  const name = change.name ?? project.name;
  const slug = change.slug ?? project.slug;
  const untrusted = change.untrustedSecrets === undefined ? project.untrusted_secrets : Number(change.untrustedSecrets);
  return tx.get<ProjectRow>(UPDATE, [name, slug, untrusted, now, project.id, project.workspace_id, slug, project.id]);
}

const UPDATE = `update projects set name = ?, slug = ?, untrusted_secrets = ?, updated_at = ? where id = ?
  and not exists (select 1 from projects other where other.workspace_id = ? and other.slug = ? and other.id <> ?) returning *`;

/** Undefined when it was archived, or not archived, before. */
export function setArchived(
  tx: WriteTx,
  projectId: string,
  archivedAt: number | null,
  now: number,
): Promise<ProjectRow | undefined> {
  const sql = `update projects set archived_at = ?, updated_at = ? where id = ? and archived_at is ${archivedAt === null ? "not null" : "null"} returning *`;
  return tx.get<ProjectRow>(sql, [archivedAt, now, projectId]);
}

export interface ListFilter {
  readonly workspaceId: string;
  /** Part of the name or the slug; ASCII letters match in both cases, on both databases. */
  readonly search: string | undefined;
  readonly archived: "exclude" | "include" | "only";
  readonly after: readonly [createdAt: number, id: string] | null;
  readonly limit: number;
}

/** Newest first. */
export function listProjects(
  tx: Tx,
  { workspaceId, search, archived, after, limit }: ListFilter,
): Promise<ProjectRow[]> {
  const conditions = ["workspace_id = ?"];
  const params: SqlValue[] = [workspaceId];
  if (search !== undefined) {
    const pattern = containing(search);
    conditions.push("(lower(name) like ? escape '!' or slug like ? escape '!')");
    params.push(pattern, pattern);
  }
  if (archived !== "include") conditions.push(archived === "only" ? "archived_at is not null" : "archived_at is null");
  if (after !== null) {
    conditions.push("(created_at, id) < (?, ?)");
    params.push(...after);
  }
  const sql = `select * from projects where ${conditions.join(" and ")} order by created_at desc, id desc limit ?`;
  return tx.all<ProjectRow>(sql, [...params, limit]);
}
