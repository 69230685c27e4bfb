import {
  approvalStatusSchema,
  type TriggerEvent,
  type TriggerEventDetail,
  triggerDecisionSchema,
  triggerEventSchema,
  triggerOutcomeSchema,
} from "@shipfox/shared/api/trigger-events";
import type { ShownDecision } from "./decision-store.ts";
import type { EventWithConnection, ListedEvent } from "./store.ts";

export function presentTriggerEvent(row: ListedEvent): TriggerEvent {
  return {
    id: row.id,
    event_ref: row.event_ref,
    origin: triggerEventSchema.shape.origin.parse(row.origin),
    workspace_id: row.workspace_id,
    provider: row.provider,
    source: row.source,
    event: row.event,
    delivery_id: row.delivery_id,
    connection_id: row.connection_id,
    untrusted: row.untrusted === 1,
    pass: row.pass,
    approval: presentApproval(row),
    outcome: triggerOutcomeSchema.parse(row.outcome),
    matched_count: row.matched_count,
    received_at: new Date(row.received_at).toISOString(),
    processed_at: row.processed_at === null ? null : new Date(row.processed_at).toISOString(),
    created_at: new Date(row.created_at).toISOString(),
  };
}

export function presentTriggerEventDetail(
  row: EventWithConnection,
  decisions: readonly ShownDecision[],
): TriggerEventDetail {
  return {
    ...presentTriggerEvent(row),
    connection_name: row.connection_name,
    payload: row.payload === null ? null : (JSON.parse(row.payload) as TriggerEventDetail["payload"]),
    decisions: decisions.map(presentDecision),
  };
}

function presentDecision(row: ShownDecision): TriggerEventDetail["decisions"][number] {
  return triggerDecisionSchema.parse({
    id: row.id,
    received_event_id: row.event_id,
    pass: row.pass,
    subscription_kind: row.subscription_kind,
    subscription_id: row.subscription_id,
    subscription_name: row.subscription_name,
    workflow_definition_id: row.definition_id,
    project_id: row.project_id,
    workflow_run_id: row.workflow_run_id,
    job_id: row.job_id,
    matcher_kind: row.matcher_kind,
    matcher_ordinal: row.matcher_ordinal,
    decision: row.decision,
    run_id: row.run_id,
    run_name: row.run_name,
    reason: row.reason,
    created_at: new Date(row.created_at).toISOString(),
  });
}

function presentApproval(row: ListedEvent): TriggerEvent["approval"] {
  if (row.approval === null) return null;
  return {
    status: approvalStatusSchema.parse(row.approval),
    commit: row.head_commit,
    workflows_hash: row.workflows_hash,
    approved_by: row.approved_by,
    approved_at: row.approved_at === null ? null : new Date(row.approved_at).toISOString(),
  };
}
