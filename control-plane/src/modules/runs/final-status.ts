import type { RunStatus } from "@shipfox/shared/api/runs";
import type { Tx } from "../../store/store.ts";
import { isOver } from "./model.ts";
import { REMOVED } from "./removed-runs.ts";

/** How a run ended; null while it has not. */
export async function finalStatus(tx: Tx, runId: string): Promise<RunStatus | null> {
  const run = await tx.get<{ status: RunStatus }>(`select status from runs where id = ? and id not in ${REMOVED}`, [
    runId,
  ]);
  return run && isOver(run.status) ? run.status : null;
}
