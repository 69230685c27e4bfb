import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import type { WriteTx } from "../../store/store.ts";
import { findByRef, insertTriggerEvent } from "./store.ts";

/** Longest stored payload as JSON: a body of half a mebibyte whose every second character needs an escape. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;

/** A delivery of an integration, already verified. */
export interface Delivery {
  readonly workspaceId: string;
  /** `github`, `sentry`, `webhook`, … */
  readonly provider: string;
  /** The slug of the connection: the word that workflows use. */
  readonly source: string;
  /** `push`, `issue.created`, `received`, … */
  readonly event: string;
  /** What the sender calls this delivery; a repeat has the same. */
  readonly deliveryId: string;
  readonly connectionId: string;
  readonly payload: Readonly<Record<string, unknown>>;
  /** Somebody without rights to the repository may have made it, as from a fork. */
  readonly untrusted: boolean;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
}

/**
 * Stores a delivery as a trigger event, in the transaction of the caller, who acknowledges it after the commit. A delivery
 * id that the connection sent before, within the time that events are kept, changes nothing and answers the event that is there.
 * Throws 413 `body-too-large` for a payload over `MAX_PAYLOAD_BYTES`.
 */
export async function storeTriggerEvent(
  tx: WriteTx,
  delivery: Delivery,
): Promise<{ readonly id: string; readonly duplicate: boolean }> {
  const payload = JSON.stringify(delivery.payload);
  if (Buffer.byteLength(payload) > MAX_PAYLOAD_BYTES) {
    throw new ApiError("body-too-large", `the payload is over the limit of ${MAX_PAYLOAD_BYTES} bytes`);
  }
  const id = newId(delivery.receivedAt);
  const eventRef = `${delivery.connectionId}:${delivery.deliveryId}`;
  const isNew = await insertTriggerEvent(tx, {
    id,
    workspace_id: delivery.workspaceId,
    origin: "integration",
    event_ref: eventRef,
    provider: delivery.provider,
    source: delivery.source,
    event: delivery.event,
    delivery_id: delivery.deliveryId,
    connection_id: delivery.connectionId,
    untrusted: delivery.untrusted ? 1 : 0,
    payload,
    outcome: "received",
    matched_count: 0,
    received_at: delivery.receivedAt,
    processed_at: null,
    due_at: null,
    created_at: delivery.receivedAt,
  });
  if (isNew) return { id, duplicate: false };
  const earlier = await findByRef(tx, delivery.workspaceId, eventRef);
  // Gone only when its retention ended between the two statements.
  return { id: earlier ?? id, duplicate: true };
}
