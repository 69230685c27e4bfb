import type { RunEventType, ShownRunEvent } from "@shipfox/shared/api/events";
import type { RunEventRow } from "../store/schema.ts";
import type { RunEvent } from "../store/store.ts";

export function eventOfRow(row: RunEventRow): RunEvent {
  return {
    id: row.id,
    workspaceId: row.workspace_id,
    type: row.type as RunEventType,
    runId: row.run_id,
    projectId: row.project_id,
    jobId: row.job_id,
    executionId: row.execution_id,
    stepId: row.step_id,
    payload: JSON.parse(row.payload) as RunEvent["payload"],
    createdAt: row.created_at,
  };
}

/** An event as the API, the streams and the webhooks show it. */
export function presentEvent(event: RunEvent): ShownRunEvent {
  return {
    id: event.id,
    type: event.type,
    run_id: event.runId,
    created_at: new Date(event.createdAt).toISOString(),
    payload: {
      workspace_id: event.workspaceId,
      project_id: event.projectId,
      job_id: event.jobId ?? null,
      job_execution_id: event.executionId ?? null,
      step_id: event.stepId ?? null,
      ...event.payload,
    },
    // The payload is that of the type, which the draft of the event made sure of.
  } as ShownRunEvent;
}

/** As one line of JSON. */
export function eventText(event: RunEvent): string {
  return JSON.stringify(presentEvent(event));
}
