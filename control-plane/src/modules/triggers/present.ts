import {
  type TriggerEvent,
  type TriggerEventDetail,
  triggerEventSchema,
  triggerOutcomeSchema,
} from "@shipfox/shared/api/trigger-events";
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
    outcome: triggerOutcomeSchema.parse(row.outcome),
    matched_count: row.matched_count,
    received_at: new Date(row.received_at).toISOString(),
    processed_at: row.processed_at === null ? null : new Date(row.processed_at).toISOString(),
    created_at: new Date(row.created_at).toISOString(),
  };
}

export function presentTriggerEventDetail(row: EventWithConnection): TriggerEventDetail {
  return {
    ...presentTriggerEvent(row),
    connection_name: row.connection_name,
    payload: row.payload === null ? null : (JSON.parse(row.payload) as TriggerEventDetail["payload"]),
    decisions: [],
  };
}
