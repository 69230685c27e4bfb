import type { ScopedValueRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

/** Of the workspace, or of one of its projects. */
export interface Scope {
  readonly workspaceId: string;
  readonly projectId: string | null;
}

const COUNT = `select (select count(*) from secrets where workspace_id = ?) + (select count(*) from variables where workspace_id = ?)
  as "count"`;

/**
 * Secrets and variables of a workspace together; one cap holds for both. Takes a lock under which no other writer of the
 * same workspace can count.
 */
export async function lockAndCount(tx: WriteTx, forUpdate: string, workspaceId: string): Promise<number> {
  await tx.get(`select id from workspaces where id = ?${forUpdate}`, [workspaceId]);
  return (await tx.get<{ count: number }>(COUNT, [workspaceId, workspaceId]))?.count ?? 0;
}

/** The rows of `secrets` or of `variables`, which have the same shape. */
export class ScopedValues {
  /** What one of them is called. */
  readonly kind: "secret" | "variable";
  readonly #list: string;
  readonly #find: string;
  readonly #effective: string;
  readonly #upsert: string;
  readonly #remove: string;

  constructor(table: "secrets" | "variables") {
    this.kind = table === "secrets" ? "secret" : "variable";
    const ofScope = `from ${table} where workspace_id = ? and scope_id = ?`;
    this.#list = `select * ${ofScope} and key > ? order by key limit ?`;
    this.#find = `select * ${ofScope} and key = ?`;
    this.#effective = `select * from ${table} where workspace_id = ? and scope_id in (?, ?) and key = ?
      order by case when project_id is null then 1 else 0 end limit 1`;
    this.#upsert = `insert into ${table} (workspace_id, scope_id, key, project_id, value, last_edited_by, created_at, updated_at)
      values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (workspace_id, scope_id, key)
      do update set value = excluded.value, last_edited_by = excluded.last_edited_by, updated_at = excluded.updated_at
      returning *`;
    this.#remove = `delete ${ofScope} and key = ?`;
  }

  /** One scope only, by key. */
  list(tx: Tx, scope: Scope, afterKey: string, limit: number): Promise<ScopedValueRow[]> {
    return tx.all<ScopedValueRow>(this.#list, [scope.workspaceId, scopeId(scope), afterKey, limit]);
  }

  find(tx: Tx, scope: Scope, key: string): Promise<ScopedValueRow | undefined> {
    return tx.get<ScopedValueRow>(this.#find, [scope.workspaceId, scopeId(scope), key]);
  }

  /** What a run of the project sees under the key: the project's own value, else the workspace's. */
  findEffective(
    tx: Tx,
    place: { workspaceId: string; projectId: string },
    key: string,
  ): Promise<ScopedValueRow | undefined> {
    const params = [place.workspaceId, place.projectId, place.workspaceId, key];
    return tx.get<ScopedValueRow>(this.#effective, params);
  }

  async set(
    tx: WriteTx,
    scope: Scope,
    entry: { key: string; value: string },
    by: { userId: string; now: number },
  ): Promise<ScopedValueRow> {
    const place = [scope.workspaceId, scopeId(scope), entry.key, scope.projectId];
    const row = await tx.get<ScopedValueRow>(this.#upsert, [...place, entry.value, by.userId, by.now, by.now]);
    return row as ScopedValueRow;
  }

  /** False when there was none. */
  async remove(tx: WriteTx, scope: Scope, key: string): Promise<boolean> {
    return (await tx.run(this.#remove, [scope.workspaceId, scopeId(scope), key])) === 1;
  }
}

function scopeId({ workspaceId, projectId }: Scope): string {
  return projectId ?? workspaceId;
}
