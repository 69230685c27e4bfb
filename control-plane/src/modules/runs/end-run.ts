import type { RunEventPayloads } from "@shipfox/shared/api/events";
import type { WriteTx } from "../../store/store.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { finishRun } from "./store.ts";

type RunEnd = RunEventPayloads["run.finished"]["status"];

/** Ends a run, tells of it, and lets those know who must in the same transaction. */
export async function endRun(
  tx: WriteTx,
  { endings }: Pick<RunsDeps, "endings">,
  { workspace_id, project_id, run_id }: { workspace_id: string; project_id: string; run_id: string },
  { status, force, now }: { status: RunEnd; force?: boolean; now: number },
): Promise<void> {
  await finishRun(tx, run_id, status, now);
  record(tx, { workspace_id, project_id, run_id }, "run.finished", { status, ...(force ? { force } : {}) }, now);
  await endings.runEnded(tx, run_id, now);
}
