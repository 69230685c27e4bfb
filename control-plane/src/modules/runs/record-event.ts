import type { RunEventPayloads, RunEventType } from "@shipfox/shared/api/events";
import type { WriteTx } from "../../store/store.ts";

/** What an event is about: a run, or one execution of a job of it, or one step of that. */
interface EventFacts {
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly job_id?: string;
  /** Of the execution. */
  readonly id?: string;
  readonly stepId?: string;
}

/** Appends a run event. */
export function record<Type extends RunEventType>(
  tx: WriteTx,
  facts: EventFacts,
  type: Type,
  payload: RunEventPayloads[Type],
  now: number,
): void {
  tx.record({
    workspaceId: facts.workspace_id,
    projectId: facts.project_id,
    runId: facts.run_id,
    jobId: facts.job_id ?? null,
    executionId: facts.id ?? null,
    stepId: facts.stepId ?? null,
    type,
    payload,
    createdAt: now,
  });
}
