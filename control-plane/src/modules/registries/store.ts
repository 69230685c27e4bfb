import type { RegistryCredentialRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

const COUNT = "select count(*) as count from registry_credentials where workspace_id = ?";
const INSERT = `insert into registry_credentials (id, workspace_id, host, username, sealed_password, project_ids, created_at)
  values (?, ?, ?, ?, ?, ?, ?)`;
const LIST = "select * from registry_credentials where workspace_id = ? order by created_at, id";
const OF_HOST =
  "select * from registry_credentials where workspace_id = ? and host = ? order by created_at desc, id desc";
const OF_SCOPE =
  "select id from registry_credentials where workspace_id = ? and host = ? and coalesce(project_ids, '') = ? order by id";
const DELETE = "delete from registry_credentials where id = ? and workspace_id = ?";
const SETUP_CONFIG = "select config from steps where job_execution_id = ? and position = 0";

export async function countCredentials(tx: Tx, workspaceId: string): Promise<number> {
  return (await tx.get<{ count: number }>(COUNT, [workspaceId]))?.count ?? 0;
}

export async function insertCredential(tx: WriteTx, row: RegistryCredentialRow): Promise<void> {
  const values = [row.id, row.workspace_id, row.host, row.username, row.sealed_password, row.project_ids];
  await tx.run(INSERT, [...values, row.created_at]);
}

export function listCredentials(tx: Tx, workspaceId: string): Promise<RegistryCredentialRow[]> {
  return tx.all<RegistryCredentialRow>(LIST, [workspaceId]);
}

/** Newest first. */
export function credentialsOfHost(tx: Tx, workspaceId: string, host: string): Promise<RegistryCredentialRow[]> {
  return tx.all<RegistryCredentialRow>(OF_HOST, [workspaceId, host]);
}

/** Those for the same host and the same projects, of which there is one at most unless it was stored before that was so. */
export async function credentialsOfScope(tx: Tx, row: RegistryCredentialRow): Promise<string[]> {
  const rows = await tx.all<{ id: string }>(OF_SCOPE, [row.workspace_id, row.host, row.project_ids ?? ""]);
  return rows.map(({ id }) => id);
}

/** False when the workspace has none with this id. */
export async function deleteCredential(tx: WriteTx, workspaceId: string, credentialId: string): Promise<boolean> {
  return (await tx.run(DELETE, [credentialId, workspaceId])) === 1;
}

/** Null when the execution is gone. */
export async function setupConfigText(tx: Tx, executionId: string): Promise<string | null> {
  return (await tx.get<{ config: string }>(SETUP_CONFIG, [executionId]))?.config ?? null;
}
