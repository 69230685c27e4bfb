import type { Tx } from "./store.ts";

/** The number of a workspace's newest event, also when it was deleted since; null when there is no such workspace. */
export async function newestEvent(tx: Tx, workspaceId: string): Promise<number | null> {
  const row = await tx.get<{ last_event: number }>("select last_event from workspaces where id = ?", [workspaceId]);
  return row?.last_event ?? null;
}
