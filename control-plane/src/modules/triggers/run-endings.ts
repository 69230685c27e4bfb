import { newId } from "@shipfox/shared/ids";
import type { WriteTx } from "../../store/store.ts";
import { type EndedRun, type EndingsPort, findEndedRun } from "../runs/public.ts";
import { WORKFLOW_SOURCE } from "../workflow/public.ts";
import { keepEvent, MAX_STORED_EVENTS, NO_APPROVAL } from "./store-trigger-event.ts";
import { isRunEndWanted } from "./subscription-store.ts";

/**
 * Stores the end of a run as a trigger event, in the transaction that ends it, when a workflow of its project starts then. Each
 * attempt of a run ends once. `arm` is told, after the commit, that there is an event to route.
 */
export class RunEndings implements EndingsPort {
  readonly #arm: (at: number) => void;

  constructor(arm: (at: number) => void) {
    this.#arm = arm;
  }

  async runEnded(tx: WriteTx, runId: string, now: number): Promise<void> {
    if (!(await isRunEndWanted(tx, runId))) return;
    const run = await findEndedRun(tx, runId);
    if (!run) return;
    await keepEvent(tx, eventOf(run, runId, now), MAX_STORED_EVENTS);
    tx.afterCommit(() => this.#arm(now));
  }
}

function eventOf(run: EndedRun, runId: string, now: number) {
  const payload = JSON.stringify(run.payload);
  return {
    id: newId(now),
    workspace_id: run.workspaceId,
    origin: "workflow",
    event_ref: `${runId}:${run.attempt}`,
    provider: WORKFLOW_SOURCE,
    source: WORKFLOW_SOURCE,
    event: run.status,
    delivery_id: null,
    connection_id: run.repository.connectionId,
    untrusted: run.untrusted ? 1 : 0,
    payload,
    payload_bytes: Buffer.byteLength(payload),
    outcome: "received",
    matched_count: 0,
    received_at: now,
    processed_at: null,
    due_at: now,
    created_at: now,
    pass: 1,
    reference: run.reference === null ? null : JSON.stringify(run.reference),
    repository_id: run.repository.id,
    subject: null,
    subject_at: null,
    head_commit: run.reference?.commit ?? null,
    ...NO_APPROVAL,
  };
}
