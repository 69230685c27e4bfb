import type { ConnectionRow } from "../../../store/schema.ts";
import type { Tx } from "../../../store/store.ts";

/** `lock` is the dialect's `forUpdate` when the row is to be changed, else empty. */
export function findInstallation(tx: Tx, installationId: string, lock = ""): Promise<ConnectionRow | undefined> {
  const sql = `select * from connections where provider = 'sentry' and external_account_id = ?${lock}`;
  return tx.get<ConnectionRow>(sql, [installationId]);
}
