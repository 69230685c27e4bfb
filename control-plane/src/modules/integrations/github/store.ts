import type { ConnectionRow } from "../../../store/schema.ts";
import type { Tx, WriteTx } from "../../../store/store.ts";
import { GITHUB_PROVIDER } from "../model.ts";

/** The connection that has an installation; there is at most one on the whole server. */
export function findInstallation(tx: Tx, installationId: number, forUpdate = ""): Promise<ConnectionRow | undefined> {
  const sql = `select * from connections where provider = '${GITHUB_PROVIDER}' and external_account_id = ?${forUpdate}`;
  return tx.get<ConnectionRow>(sql, [String(installationId)]);
}

/** False for a state that was used before. Forgets those that are too old to be used anyway. */
export async function noteState(
  tx: WriteTx,
  state: { nonce: string; expiresAt: number },
  now: number,
): Promise<boolean> {
  await tx.run("delete from used_install_states where expires_at <= ?", [now]);
  const sql = "insert into used_install_states (nonce, expires_at) values (?, ?) on conflict (nonce) do nothing";
  return (await tx.run(sql, [state.nonce, state.expiresAt])) === 1;
}

/** From now on the run events of the workspace are looked at for check runs. */
export async function followEvents(tx: WriteTx, workspaceId: string): Promise<void> {
  const sql = `insert into check_cursors (workspace_id, last_event) select id, last_event from workspaces where id = ?
    on conflict (workspace_id) do nothing`;
  await tx.run(sql, [workspaceId]);
}
