import type { ConnectionRow } from "../../../store/schema.ts";
import type { Tx } from "../../../store/store.ts";

/** `lock` is the dialect's `forUpdate` when the row is to be changed, else empty. */
export function findInstallation(tx: Tx, installationId: string, lock = ""): Promise<ConnectionRow | undefined> {
  const sql = `select * from connections where provider = 'sentry' and external_account_id = ?${lock}`;
  return tx.get<ConnectionRow>(sql, [installationId]);
}

/** The connection that hears of an installation: undefined when it is not active, or its workspace is not. */
export function findHearing(tx: Tx, installationId: string): Promise<ConnectionRow | undefined> {
  const sql = `select c.* from connections c join workspaces w on w.id = c.workspace_id
    where c.provider = 'sentry' and c.external_account_id = ? and c.lifecycle_status = 'active' and w.status = 'active'`;
  return tx.get<ConnectionRow>(sql, [installationId]);
}
