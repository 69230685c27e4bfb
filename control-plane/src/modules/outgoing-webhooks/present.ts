import {
  deliveryStatusSchema,
  type Webhook,
  type WebhookDelivery,
  webhookEventSchema,
  webhookSchema,
} from "@shipfox/shared/api/webhooks";
import { eventOfRow, eventText } from "../../events/event-text.ts";
import type { RunEventRow, WebhookDeliveryRow, WebhookRow } from "../../store/schema.ts";
import { eventsOf } from "./store.ts";

export function presentWebhook(row: WebhookRow): Webhook {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    name: row.name,
    url: row.url,
    events: eventsOf(row).map((type) => webhookEventSchema.parse(type)),
    status: webhookSchema.shape.status.parse(row.status),
    disabled_reason: row.disabled_reason,
    failing_since: iso(row.failing_since),
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}

export function presentDelivery(row: Omit<WebhookDeliveryRow, "body">): WebhookDelivery {
  return {
    id: row.id,
    webhook_id: row.webhook_id,
    event_id: row.event_id,
    event_type: row.event_type,
    status: deliveryStatusSchema.parse(row.status),
    attempts: row.attempts,
    next_attempt_at: iso(row.due_at),
    last_attempt_at: iso(row.last_attempt_at),
    response_status: row.response_status,
    response_excerpt: row.response_excerpt,
    duration_ms: row.duration_ms,
    error: row.error,
    created_at: new Date(row.created_at).toISOString(),
    finished_at: iso(row.finished_at),
  };
}

/** The body of a delivery: the run event as the API shows it. */
export function eventBody(row: RunEventRow): string {
  return eventText(eventOfRow(row));
}

function iso(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString();
}
