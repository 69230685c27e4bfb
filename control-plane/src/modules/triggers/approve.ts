import { ApiError } from "@shipfox/shared/errors";
import { requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { TriggerEventRow } from "../../store/schema.ts";
import { approve, hasNewerCommit } from "./approval-store.ts";
import { noSuchEvent, type ReplayDeps } from "./replay.ts";
import { lockEvent } from "./routing-store.ts";

export interface ApproveRequest {
  readonly caller: Caller;
  readonly eventId: string;
  /** What the approver has seen. */
  readonly commit: string | null;
  readonly workflowsHash: string;
}

/**
 * Lets an event that somebody without rights made start its runs, of this commit and these workflows only. Answers the event,
 * due. Throws 404 `not-found`, 409 `approval-not-waiting`, 409 `approval-outdated`.
 */
export async function approveTriggerEvent(deps: ReplayDeps, request: ApproveRequest): Promise<TriggerEventRow> {
  const { store, clock, access, wake } = deps;
  const { caller, eventId, commit, workflowsHash } = request;
  const now = clock.now();
  return store.write(async (tx) => {
    const event = await lockEvent(tx, store.sql.forUpdate, eventId);
    if (!event) throw noSuchEvent();
    await requireVisible(access, tx, caller, event.workspace_id, noSuchEvent);
    if (event.approval === "superseded" || (event.approval === "waiting" && (await hasNewerCommit(tx, event))))
      throw outdated("there is a newer commit; approve the event that tells of it");
    if (event.approval !== "waiting") throw notWaiting();
    if (event.head_commit !== commit) throw outdated(`the event is about the commit ${event.head_commit ?? "of none"}`);
    if (event.workflows_hash !== workflowsHash) throw outdated("a workflow that it would start has changed");
    await approve(tx, eventId, caller.userId, now);
    await tx.audit(caller, {
      workspaceId: event.workspace_id,
      action: "trigger-event.approved",
      target: { type: "trigger-event", id: eventId, name: `${event.source} ${event.event}` },
      details: { commit, workflows_hash: workflowsHash },
    });
    tx.afterCommit(wake);
    return { ...event, approval: "approved", approved_by: caller.userId, approved_at: now, due_at: now };
  });
}

function outdated(what: string): ApiError {
  return new ApiError("approval-outdated", `what you approve is not what is there: ${what}`);
}

function notWaiting(): ApiError {
  return new ApiError(
    "approval-not-waiting",
    "the event waits for no approval; only one whose approval is waiting does",
  );
}
