import type { TriggerReference } from "@shipfox/shared/api/runs";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { insertDecision, setRun } from "./decision-store.ts";
import { depthOf, MAX_DEPTH } from "./model.ts";
import type { StartTriggered } from "./ports.ts";
import { type Candidate, isUnchanged } from "./subscription-store.ts";

/** The subscription was saved anew while the event was being looked at: look again. */
export class SubscriptionChanged extends Error {
  override readonly name = "SubscriptionChanged";
}

/** Workflows start each other in a circle, or in too long a row. */
export class ChainTooLong extends Error {
  override readonly name = "ChainTooLong";

  constructor() {
    super(
      `it would be the ${MAX_DEPTH + 1}th run in a row that the end of the one before starts; ${MAX_DEPTH} is the limit`,
    );
  }
}

/**
 * Starts the run that a matching event asks for, and writes down that it did, in the caller's unit; nothing when this pass
 * over the event did before. Throws `SubscriptionChanged`, `ChainTooLong`, and what `start` throws.
 */
export async function startForEvent(
  tx: WriteTx,
  start: StartTriggered,
  { event, subscription, now }: { event: TriggerEventRow; subscription: Candidate; now: number },
): Promise<void> {
  const decision = await insertDecision(tx, event, subscription, { decision: "triggered", reason: null, now });
  if (decision === null) return;
  if (!(await isUnchanged(tx, subscription))) throw new SubscriptionChanged();
  const { provider, source, event: name, delivery_id: deliveryId } = event;
  const data: unknown = JSON.parse(event.payload ?? "null");
  const depth = depthOf(event.origin, data);
  if (depth > MAX_DEPTH) throw new ChainTooLong();
  const reference = event.reference === null ? null : (JSON.parse(event.reference) as TriggerReference);
  const { runId } = await start(tx, {
    definitionId: subscription.definition_id,
    trigger: { provider, source, event: name, payload: { provider, source, event: name, deliveryId, data }, reference },
    pinnedCommit: isOfProject(event, subscription) ? (reference?.commit ?? null) : null,
    untrusted: event.untrusted === 1,
    depth,
    inputs: subscription.inputs === null ? null : JSON.parse(subscription.inputs),
    now,
  });
  await setRun(tx, decision, runId);
}

/** A commit of one repository is none of another. */
function isOfProject(event: TriggerEventRow, subscription: Candidate): boolean {
  return (
    event.repository_id !== null &&
    event.connection_id === subscription.connection_id &&
    event.repository_id === subscription.external_repository_id
  );
}
