import type { ConnectionRow } from "../../../store/schema.ts";
import type { Tx, WriteTx } from "../../../store/store.ts";

/** Undefined as well when the workspace is suspended or deleted: it hears nothing. */
export function findWebhookConnection(tx: Tx, connectionId: string): Promise<ConnectionRow | undefined> {
  const sql = `select c.* from connections c join workspaces w on w.id = c.workspace_id
    where c.id = ? and c.provider = 'webhook' and w.status = 'active'`;
  return tx.get<ConnectionRow>(sql, [connectionId]);
}

/** `lock` is the dialect's `forUpdate`. */
export function lockWebhookConnection(tx: Tx, lock: string, connectionId: string): Promise<ConnectionRow | undefined> {
  const sql = `select * from connections where id = ? and provider = 'webhook'${lock}`;
  return tx.get<ConnectionRow>(sql, [connectionId]);
}

export function listWebhookConnections(tx: Tx, workspaceId: string): Promise<ConnectionRow[]> {
  const sql = "select * from connections where workspace_id = ? and provider = 'webhook' order by created_at, id";
  return tx.all<ConnectionRow>(sql, [workspaceId]);
}

export async function updateWebhookConnection(
  tx: WriteTx,
  row: Pick<ConnectionRow, "id" | "lifecycle_status" | "sealed_credential" | "updated_at">,
): Promise<void> {
  const sql = "update connections set lifecycle_status = ?, sealed_credential = ?, updated_at = ? where id = ?";
  await tx.run(sql, [row.lifecycle_status, row.sealed_credential, row.updated_at, row.id]);
}

export async function removeWebhookConnection(tx: WriteTx, connectionId: string): Promise<void> {
  await tx.run("delete from connections where id = ?", [connectionId]);
}
