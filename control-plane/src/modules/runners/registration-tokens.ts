import { newId } from "@shipfox/shared/ids";
import { hashToken, newToken, tokenPrefix } from "@shipfox/shared/tokens";
import type { RegistrationTokenRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

const INSERT = `insert into registration_tokens (id, workspace_id, name, prefix, token_hash, max_uses, uses, expires_at, created_by, created_at, updated_at)
  values (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)`;
const USABLE = `select * from registration_tokens where workspace_id = ? and revoked_at is null and (expires_at is null or expires_at > ?)
  and (max_uses is null or uses < max_uses) order by created_at desc, id desc`;
const REVOKE =
  "update registration_tokens set revoked_at = coalesce(revoked_at, ?), updated_at = ? where id = ? and workspace_id = ? returning *";

export interface NewRegistrationToken {
  readonly workspaceId: string;
  readonly name: string | null;
  readonly ttlSeconds: number | null;
  readonly maxUses: number | null;
  readonly createdBy: string;
}

/** Makes a token; the raw form is returned once and never stored. The values are made before the unit that stores them. */
export function makeRegistrationToken(
  request: NewRegistrationToken,
  now: number,
): { raw: string; row: RegistrationTokenRow } {
  const raw = newToken("mrt");
  return {
    raw,
    row: {
      id: newId(now),
      workspace_id: request.workspaceId,
      name: request.name,
      prefix: tokenPrefix(raw),
      token_hash: hashToken(raw),
      max_uses: request.maxUses,
      uses: 0,
      expires_at: request.ttlSeconds === null ? null : now + request.ttlSeconds * 1000,
      revoked_at: null,
      created_by: request.createdBy,
      created_at: now,
      updated_at: now,
    },
  };
}

export async function insertRegistrationToken(tx: WriteTx, row: RegistrationTokenRow): Promise<void> {
  await tx.run(INSERT, [
    row.id,
    row.workspace_id,
    row.name,
    row.prefix,
    row.token_hash,
    row.max_uses,
    row.expires_at,
    row.created_by,
    row.created_at,
    row.updated_at,
  ]);
}

/** Tokens that can still be used, newest first. */
export function usableRegistrationTokens(tx: Tx, workspaceId: string, now: number): Promise<RegistrationTokenRow[]> {
  return tx.all<RegistrationTokenRow>(USABLE, [workspaceId, now]);
}

export function revokeRegistrationToken(
  tx: WriteTx,
  workspaceId: string,
  tokenId: string,
  now: number,
): Promise<RegistrationTokenRow | undefined> {
  return tx.get<RegistrationTokenRow>(REVOKE, [now, now, tokenId, workspaceId]);
}
