import type { Tx } from "../../store/store.ts";
import { REMOVED } from "./removed-runs.ts";

export interface StepIdentity {
  readonly workspaceId: string;
  readonly runId: string;
  readonly status: string;
  readonly currentAttempt: number;
}

const FIND_STEP = `select e.workspace_id as "workspaceId", e.run_id as "runId", s.status, s.current_attempt as "currentAttempt"
  from steps s join job_executions e on e.id = s.job_execution_id
  where s.id = ? and e.run_id not in ${REMOVED}`;

/** Where a step belongs and how far it is; null when there is none. */
export async function findStep(tx: Tx, stepId: string): Promise<StepIdentity | null> {
  return (await tx.get<StepIdentity>(FIND_STEP, [stepId])) ?? null;
}
