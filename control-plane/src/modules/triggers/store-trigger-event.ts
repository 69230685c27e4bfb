import { ApiError } from "@shipfox/shared/errors";
import type { TriggerReference } from "@shipfox/shared/api/runs";
import { newId } from "@shipfox/shared/ids";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { countEvents, deleteEvents, type EventUsage, findByRef, insertTriggerEvent, oldestEvents } from "./store.ts";

/** Longest stored payload as JSON: a body of half a mebibyte whose every second character needs an escape. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;

/** What a workspace keeps at most; with more, its oldest events go. */
export const MAX_STORED_EVENTS: EventUsage = { events: 100_000, bytes: 1024 * 1024 * 1024 };
/** Old events that one new one pushes out at most, so that none waits for long: after large ones come many small ones. */
const MAX_PUSHED_OUT = 100;

/** The repository that an event is about. */
export interface EventRepository {
  /** As its connection names it. */
  readonly id: string;
  readonly reference: TriggerReference;
  /** What of it changes over several events, as a pull request: its name in the repository, and when it last changed. */
  readonly subject?: { readonly name: string; readonly at: number };
}

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
  readonly repository?: EventRepository | null;
  /** Milliseconds since the epoch. */
  readonly receivedAt: number;
}

/**
 * Stores a delivery as a trigger event, in the transaction of the caller, who acknowledges it after the commit; it is due to be
 * routed from then on. A delivery
 * id that the connection sent before, of which the event is still kept, changes nothing and answers the event that is there.
 * Over `limits` the oldest events of the workspace go. Throws 413 `body-too-large` for a payload over `MAX_PAYLOAD_BYTES`.
 */
export async function storeTriggerEvent(
  tx: WriteTx,
  delivery: Delivery,
  limits: EventUsage = MAX_STORED_EVENTS,
): Promise<{ readonly id: string; readonly duplicate: boolean }> {
  const payload = JSON.stringify(delivery.payload);
  const bytes = Buffer.byteLength(payload);
  if (bytes > MAX_PAYLOAD_BYTES) {
    throw new ApiError("body-too-large", `the payload is over the limit of ${MAX_PAYLOAD_BYTES} bytes`);
  }
  const { repository } = delivery;
  const subject = repository?.subject;
  const id = newId(delivery.receivedAt);
  const eventRef = `${delivery.connectionId}:${delivery.deliveryId}`;
  const isNew = await keepEvent(
    tx,
    {
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
      payload_bytes: bytes,
      outcome: "received",
      matched_count: 0,
      received_at: delivery.receivedAt,
      processed_at: null,
      due_at: delivery.receivedAt,
      created_at: delivery.receivedAt,
      pass: 1,
      reference: repository ? JSON.stringify(repository.reference) : null,
      repository_id: repository?.id ?? null,
      subject: subject ? `${repository?.id} ${subject.name}` : null,
      subject_at: subject?.at ?? null,
      head_commit: repository?.reference.commit ?? null,
      ...NO_APPROVAL,
    },
    limits,
  );
  if (isNew) return { id, duplicate: false };
  const earlier = await findByRef(tx, delivery.workspaceId, eventRef);
  // Gone only when its retention ended between the two statements.
  return { id: earlier ?? id, duplicate: true };
}

/** False when the workspace has an event of this reference. Over `limits` its oldest events go. */
export async function keepEvent(tx: WriteTx, row: TriggerEventRow, limits: EventUsage): Promise<boolean> {
  if (!(await insertTriggerEvent(tx, row))) return false;
  const kept = await countEvents(tx, row.workspace_id, { events: 1, bytes: row.payload_bytes });
  await pushOut(tx, row.workspace_id, kept, limits);
  return true;
}

export const NO_APPROVAL = { approval: null, workflows_hash: null, approved_by: null, approved_at: null };

/** `storeTriggerEvent`, where the routing is woken once the unit is committed. */
export type StoreDelivery = (
  tx: WriteTx,
  delivery: Delivery,
) => Promise<{ readonly id: string; readonly duplicate: boolean }>;

/** Deletes as many of the oldest events as are too many, but for the one that just came. */
async function pushOut(tx: WriteTx, workspaceId: string, kept: EventUsage, limits: EventUsage): Promise<void> {
  const excess = { events: kept.events - limits.events, bytes: kept.bytes - limits.bytes };
  if (excess.events <= 0 && excess.bytes <= 0) return;
  const gone: string[] = [];
  let bytes = 0;
  for (const row of await oldestEvents(tx, workspaceId, Math.min(MAX_PUSHED_OUT, kept.events - 1))) {
    if (gone.length >= excess.events && bytes >= excess.bytes) break;
    gone.push(row.id);
    bytes += row.payload_bytes;
  }
  if (gone.length === 0) return;
  await deleteEvents(tx, gone);
  await countEvents(tx, workspaceId, { events: -gone.length, bytes: -bytes });
}
