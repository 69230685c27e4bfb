import type { ProvisionerTokenRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

const INSERT = `insert into provisioner_tokens
  (id, workspace_id, name, prefix, token_hash, expires_at, created_by_user_id, created_at, updated_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const LIST = "select * from provisioner_tokens where workspace_id = ? order by created_at desc, id desc";
/** Repeated, it keeps who revoked first. */
const REVOKE = `update provisioner_tokens set revoked_by_user_id = case when revoked_at is null then ? else revoked_by_user_id end,
    updated_at = case when revoked_at is null then ? else updated_at end, revoked_at = coalesce(revoked_at, ?)
  where id = ? and workspace_id = ? returning *`;
const ACTIVE = `select * from provisioner_tokens where workspace_id = ? and last_seen_at > ? and revoked_at is null
  order by last_seen_at desc, id`;

export async function insertToken(tx: WriteTx, row: ProvisionerTokenRow): Promise<void> {
  const { id, workspace_id, name, prefix, token_hash, expires_at, created_by_user_id, created_at, updated_at } = row;
  await tx.run(INSERT, [
    id,
    workspace_id,
    name,
    prefix,
    token_hash,
    expires_at,
    created_by_user_id,
    created_at,
    updated_at,
  ]);
}

/** All of a workspace, newest first. */
export function listTokens(tx: Tx, workspaceId: string): Promise<ProvisionerTokenRow[]> {
  return tx.all<ProvisionerTokenRow>(LIST, [workspaceId]);
}

export function revokeToken(
  tx: WriteTx,
  token: { workspaceId: string; tokenId: string },
  by: { userId: string; now: number },
): Promise<ProvisionerTokenRow | undefined> {
  return tx.get<ProvisionerTokenRow>(REVOKE, [by.userId, by.now, by.now, token.tokenId, token.workspaceId]);
}

/** Those that called after `since`, the last first. */
export function listActive(tx: Tx, workspaceId: string, since: number): Promise<ProvisionerTokenRow[]> {
  return tx.all<ProvisionerTokenRow>(ACTIVE, [workspaceId, since]);
}
