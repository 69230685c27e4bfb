import type { AgentDefaultsRow, AgentProviderRow } from "../../store/schema.ts";
import type { SqlValue, Tx, WriteTx } from "../../store/store.ts";

const COLUMNS = [
  "workspace_id",
  "provider_id",
  "kind",
  "default_model",
  "settings",
  "secret_header_names",
  "sealed_secrets",
  "fingerprints",
  "created_at",
  "updated_at",
] as const satisfies (keyof AgentProviderRow)[];
const REPLACED = COLUMNS.slice(3).filter((column) => column !== "created_at");

const UPSERT = `insert into agent_providers (${COLUMNS.join(", ")}) values (${COLUMNS.map(() => "?").join(", ")})
  on conflict (workspace_id, provider_id) do update set ${REPLACED.map((column) => `${column} = excluded.${column}`).join(", ")}
  returning *`;
const INSERT = `insert into agent_providers (${COLUMNS.join(", ")}) values (${COLUMNS.map(() => "?").join(", ")})
  on conflict (workspace_id, provider_id) do nothing`;

/** Keeps when the provider was configured first. */
export async function saveProvider(tx: WriteTx, row: AgentProviderRow): Promise<AgentProviderRow> {
  return (await tx.get<AgentProviderRow>(UPSERT, valuesOf(row))) as AgentProviderRow;
}

/** False when the workspace has a provider with this id. */
export async function insertProvider(tx: WriteTx, row: AgentProviderRow): Promise<boolean> {
  return (await tx.run(INSERT, valuesOf(row))) === 1;
}

function valuesOf(row: AgentProviderRow): SqlValue[] {
  return COLUMNS.map((column): SqlValue => row[column]);
}

/** `lock` is the dialect's row lock, for those who change what they found. */
export function findProvider(
  tx: Tx,
  workspaceId: string,
  providerId: string,
  lock = "",
): Promise<AgentProviderRow | undefined> {
  const sql = `select * from agent_providers where workspace_id = ? and provider_id = ?${lock}`;
  return tx.get<AgentProviderRow>(sql, [workspaceId, providerId]);
}

export function listProviders(tx: Tx, workspaceId: string): Promise<AgentProviderRow[]> {
  const sql = "select * from agent_providers where workspace_id = ? order by provider_id";
  return tx.all<AgentProviderRow>(sql, [workspaceId]);
}

export async function countCustom(tx: Tx, workspaceId: string): Promise<number> {
  const sql = "select count(*) as count from agent_providers where workspace_id = ? and kind = 'custom'";
  return (await tx.get<{ count: number }>(sql, [workspaceId]))?.count ?? 0;
}

export async function setDefaultModel(
  tx: WriteTx,
  row: Pick<AgentProviderRow, "workspace_id" | "provider_id">,
  model: string | null,
  now: number,
): Promise<AgentProviderRow | undefined> {
  const sql =
    "update agent_providers set default_model = ?, updated_at = ? where workspace_id = ? and provider_id = ? returning *";
  return tx.get<AgentProviderRow>(sql, [model, now, row.workspace_id, row.provider_id]);
}

/** False when there was none. The default that named it is cleared. */
export async function deleteProvider(tx: WriteTx, workspaceId: string, providerId: string): Promise<boolean> {
  const sql = "delete from agent_providers where workspace_id = ? and provider_id = ?";
  if ((await tx.run(sql, [workspaceId, providerId])) === 0) return false;
  const clear = "update agent_defaults set provider_id = null where workspace_id = ? and provider_id = ?";
  await tx.run(clear, [workspaceId, providerId]);
  return true;
}

export async function findDefaults(tx: Tx, workspaceId: string): Promise<AgentDefaultsRow> {
  const row = await tx.get<AgentDefaultsRow>("select * from agent_defaults where workspace_id = ?", [workspaceId]);
  return row ?? { workspace_id: workspaceId, provider_id: null, harness_id: null };
}

export async function setDefault(
  tx: WriteTx,
  workspaceId: string,
  column: "provider_id" | "harness_id",
  value: string | null,
): Promise<void> {
  const sql = `insert into agent_defaults (workspace_id, ${column}) values (?, ?)
    on conflict (workspace_id) do update set ${column} = excluded.${column}`;
  await tx.run(sql, [workspaceId, value]);
}
