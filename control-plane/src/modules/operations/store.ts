import type { AdminUsersQuery, AdminWorkspacesQuery } from "@shipfox/shared/api/admin";
import { decodeCursor } from "../../http/cursor.ts";
import { containing } from "../../store/containing.ts";
import type { UserRow, WorkspaceRow } from "../../store/schema.ts";
import type { SqlValue, Store, WriteTx } from "../../store/store.ts";

/** Newest first; one more than the page, which tells whether there is another. */
export function listUsers(store: Store, query: AdminUsersQuery): Promise<UserRow[]> {
  const where = new Conditions();
  if (query.user_id !== undefined) where.add("id = ?", query.user_id);
  if (query.email !== undefined) where.add("email = ?", query.email);
  if (query.status !== undefined) where.add("status = ?", query.status);
  if (query.search !== undefined) where.contains(["email", "lower(coalesce(name, ''))"], query.search);
  where.after(query.cursor);
  return store.readSlow<UserRow>(`select * from users ${where.page}`, [...where.params, query.limit + 1]);
}

export type ListedWorkspace = WorkspaceRow & { members: number; projects: number };

/** As `listUsers`. */
export function listWorkspaces(store: Store, query: AdminWorkspacesQuery): Promise<ListedWorkspace[]> {
  const where = new Conditions();
  if (query.workspace_id !== undefined) where.add("id = ?", query.workspace_id);
  if (query.status !== undefined) where.add("status = ?", query.status);
  if (query.search !== undefined) where.contains(["slug", "lower(name)"], query.search);
  where.after(query.cursor);
  const sql = `select w.*, (select count(*) from memberships m where m.workspace_id = w.id) as members,
      (select count(*) from projects p where p.workspace_id = w.id) as projects
    from (select * from workspaces ${where.page}) w order by w.created_at desc, w.id desc`;
  return store.readSlow<ListedWorkspace>(sql, [...where.params, query.limit + 1]);
}

/** Collects what a list is asked for; `page` orders it newest first and takes its limit as the last parameter. */
class Conditions {
  readonly params: SqlValue[] = [];
  readonly #texts: string[] = [];

  add(text: string, ...params: SqlValue[]): void {
    this.#texts.push(text);
    this.params.push(...params);
  }

  contains(columns: readonly string[], search: string): void {
    const pattern = containing(search);
    const text = columns.map((column) => `${column} like ? escape '!'`).join(" or ");
    this.add(`(${text})`, ...columns.map(() => pattern));
  }

  after(cursor: string | undefined): void {
    if (cursor !== undefined) this.add("(created_at, id) < (?, ?)", ...decodeCursor(cursor, ["number", "string"]));
  }

  get page(): string {
    const where = this.#texts.length === 0 ? "" : `where ${this.#texts.join(" and ")}`;
    return `${where} order by created_at desc, id desc limit ?`;
  }
}

export async function setUserStatus(tx: WriteTx, userId: string, status: string, now: number): Promise<void> {
  await tx.run("update users set status = ?, updated_at = ? where id = ?", [status, now, userId]);
}

export async function setAdminRole(tx: WriteTx, userId: string, role: string | null, now: number): Promise<void> {
  await tx.run("update users set admin_role = ?, updated_at = ? where id = ?", [role, now, userId]);
}

/** How many owners the server has; none comes or goes until the transaction ends. */
export async function lockOwners(tx: WriteTx, forUpdate: string): Promise<number> {
  const sql = `select id from users where admin_role = 'admin-owner' and status = 'active' order by id${forUpdate}`;
  return (await tx.all(sql)).length;
}

/** One statement, so that the figures are of one moment. */
export const COUNTS = `select
  (select count(*) from users where status = 'active') as users_active,
  (select count(*) from users where status = 'suspended') as users_suspended,
  (select count(*) from users where status = 'active' and admin_role is not null) as administrators,
  (select count(*) from workspaces where status = 'active') as workspaces_active,
  (select count(*) from workspaces where status = 'suspended') as workspaces_suspended,
  (select count(*) from workspaces where status = 'deleted') as workspaces_deleted,
  (select count(*) from projects) as projects,
  (select count(*) from runs where finished_at is null and place_wanted_at is null) as runs_going,
  (select count(*) from runs where place_wanted_at is not null) as runs_waiting,
  (select count(*) from queue) as jobs_queued,
  (select count(*) from leases where ended_at is null) as jobs_running`;
