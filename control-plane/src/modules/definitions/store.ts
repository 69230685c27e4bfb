import type { SyncedFile } from "@shipfox/shared/api/definitions";
import type { DialectSql } from "../../store/dialect.ts";
import type { DefinitionRow, DefinitionSyncRow } from "../../store/schema.ts";
import { marks } from "../../store/marks.ts";
import type { SqlValue, Tx, WriteTx } from "../../store/store.ts";
import type { KnownDefinition, SyncErrorCode, SyncWarning } from "./model.ts";

const COLUMNS = [
  "id",
  "workspace_id",
  "project_id",
  "config_path",
  "source",
  "sha",
  "ref",
  "upsert_key",
  "name",
  "yaml",
  "document",
  "model",
  "manual_trigger",
  "called_files",
  "last_run_number",
  "fetched_at",
  "deleted_at",
  "created_at",
  "updated_at",
] as const satisfies (keyof DefinitionRow)[];

/** What a later save of the same definition replaces. */
const REPLACED = [
  "sha",
  "ref",
  "name",
  "yaml",
  "document",
  "model",
  "manual_trigger",
  "called_files",
  "fetched_at",
  "deleted_at",
];

/**
 * Inserts the definition or, where its upsert key exists, replaces the content of that one, which may have been removed
 * before. Answers the row as it is now. `updated_at` always grows, so that it can tell versions apart.
 */
export async function upsertDefinition(
  tx: WriteTx,
  sql: DialectSql,
  definition: DefinitionRow,
): Promise<DefinitionRow> {
  const replaced = REPLACED.map((column) => `${column} = excluded.${column}`).join(", ");
  const updatedAt = sql.greatest("excluded.updated_at", "definitions.updated_at + 1");
  const row = await tx.get<DefinitionRow>(
    `insert into definitions (${COLUMNS.join(", ")}) values (${COLUMNS.map(() => "?").join(", ")})
      on conflict (upsert_key) do update set ${replaced}, updated_at = ${updatedAt} returning *`,
    COLUMNS.map((column): SqlValue => definition[column]),
  );
  return row as DefinitionRow;
}

export function findDefinition(tx: Tx, definitionId: string): Promise<DefinitionRow | undefined> {
  return tx.get<DefinitionRow>("select * from definitions where id = ? and deleted_at is null", [definitionId]);
}

const CALLED = `select yaml from definitions where project_id = ? and config_path = ? and deleted_at is null
  order by case when upsert_key = ? then 0 else 1 end, updated_at desc, id desc limit 1`;

/** The file that a project's definition of a path was read from, that of the upsert key before others; null without any. */
export async function findCalled(
  tx: Tx,
  projectId: string,
  configPath: string,
  preferredKey: string | null,
): Promise<string | null> {
  return (await tx.get<{ yaml: string }>(CALLED, [projectId, configPath, preferredKey]))?.yaml ?? null;
}

/** By name, then id. */
export function listDefinitions(
  tx: Tx,
  scope: { column: "project_id" | "workspace_id"; id: string },
  page: { after: readonly [name: string, id: string] | null; limit: number },
): Promise<DefinitionRow[]> {
  const after = page.after === null ? "" : "and (name, id) > (?, ?)";
  const sql = `select * from definitions where ${scope.column} = ? and deleted_at is null ${after} order by name, id limit ?`;
  return tx.all<DefinitionRow>(sql, [scope.id, ...(page.after ?? []), page.limit]);
}

/**
 * Of a project's definitions, removed ones too, those that syncs of these branches made, and those of `ids`: a file that
 * had a fault when the branch changed has kept the definition of an earlier one.
 */
export function listSynced(
  tx: Tx,
  projectId: string,
  { refs, ids }: { refs: readonly [string, string]; ids: readonly string[] },
): Promise<KnownDefinition[]> {
  const named = ids.length === 0 ? "" : `or id in (${marks(ids.length)})`;
  return tx.all<KnownDefinition>(
    `select id, config_path, upsert_key, yaml, called_files, model, deleted_at from definitions
      where project_id = ? and source = 'vcs' and (ref in (?, ?) ${named})`,
    [projectId, ...refs, ...ids],
  );
}

export async function removeDefinition(tx: WriteTx, definitionId: string, now: number): Promise<void> {
  await tx.run("update definitions set deleted_at = ?, updated_at = ? where id = ?", [now, now, definitionId]);
}

export function findSync(tx: Tx, projectId: string): Promise<DefinitionSyncRow | undefined> {
  return tx.get<DefinitionSyncRow>("select * from definition_syncs where project_id = ?", [projectId]);
}

/** Nothing happens to an archived project. */
export async function markSyncPending(tx: WriteTx, projectId: string, now: number): Promise<void> {
  await tx.run(
    `insert into definition_syncs (project_id, status, requested_at, warnings, files)
      select id, 'pending', cast(? as bigint), '[]', '[]' from projects where id = ? and archived_at is null
      on conflict (project_id) do update set status = 'pending', requested_at = excluded.requested_at`,
    [now, projectId],
  );
}

/** False when the project is archived or gone. */
export async function markSyncing(tx: WriteTx, projectId: string, now: number): Promise<boolean> {
  const sql = `update definition_syncs set status = 'syncing', started_at = ?, finished_at = null
    where project_id = (select id from projects where id = ? and archived_at is null)`;
  return (await tx.run(sql, [now, projectId])) === 1;
}

export interface SyncEnd {
  readonly ref: string;
  readonly warnings: readonly SyncWarning[];
  readonly files: readonly SyncedFile[];
  /** Of the files that have a fault; null when none has. */
  readonly failure: { readonly code: SyncErrorCode; readonly message: string } | null;
  readonly now: number;
}

/** The folder was read and its good files are taken over. `last_sync_at` tells when all of them last were. */
export async function markSyncApplied(tx: WriteTx, projectId: string, end: SyncEnd): Promise<void> {
  const { ref, warnings, files, failure, now } = end;
  const status = failure === null ? "succeeded" : "failed";
  await tx.run(
    `update definition_syncs set status = ?, ref = ?, finished_at = ?, last_sync_at = coalesce(?, last_sync_at),
      last_error_code = ?, last_error_message = ?, warnings = ?, files = ? where project_id = ?`,
    [
      status,
      ref,
      now,
      failure === null ? now : null,
      failure?.code ?? null,
      failure?.message ?? null,
      JSON.stringify(warnings),
      JSON.stringify(files),
      projectId,
    ],
  );
}

/** The folder could not be read: what was read of its files before stays. */
export async function markSyncFailed(
  tx: WriteTx,
  projectId: string,
  { code, message, now }: { code: SyncErrorCode; message: string; now: number },
): Promise<void> {
  await tx.run(
    `update definition_syncs set status = 'failed', finished_at = ?, last_error_code = ?, last_error_message = ?,
      warnings = '[]' where project_id = ?`,
    [now, code, message, projectId],
  );
}

/** Projects whose sync was asked for or begun and has not ended. */
export async function listUnfinishedSyncs(tx: Tx): Promise<string[]> {
  const sql = "select project_id from definition_syncs where status in ('pending', 'syncing') order by requested_at";
  return (await tx.all<{ project_id: string }>(sql)).map((row) => row.project_id);
}
