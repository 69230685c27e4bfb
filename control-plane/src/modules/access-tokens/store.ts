import type { AccessTokenRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";

const USABLE = `select t.id, t.user_id, t.workspace_id, t.abilities from access_tokens t join users u on u.id = t.user_id
  where t.token_hash = ? and t.revoked_at is null and (t.expires_at is null or t.expires_at > ?) and u.status = 'active'`;

/** The token with this hash, unless it or its owner has been shut out. */
export function findUsable(
  tx: Tx,
  tokenHash: string,
  now: number,
): Promise<Pick<AccessTokenRow, "id" | "user_id" | "workspace_id" | "abilities"> | undefined> {
  return tx.get(USABLE, [tokenHash, now]);
}
