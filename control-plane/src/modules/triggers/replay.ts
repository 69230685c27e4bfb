import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { findEvent, replayEvent } from "./routing-store.ts";

export interface ReplayDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  /** Has due events routed. */
  readonly wake: () => void;
}

/**
 * Has an event routed once more, to the triggers as they are now: each that matches starts a run again. Answers the event,
 * due. Throws 404 `not-found`, 409 `trigger-event-pending` for one that is still
 * to be routed, `trigger-event-not-replayable` for a time of a schedule.
 */
export async function replayTriggerEvent(deps: ReplayDeps, caller: Caller, eventId: string): Promise<TriggerEventRow> {
  const { store, clock, access, wake } = deps;
  const now = clock.now();
  return store.write(async (tx) => {
    const event = await findEvent(tx, eventId);
    if (!event) throw noSuchEvent();
    await requireVisible(access, tx, caller, event.workspace_id, noSuchEvent);
    if (event.origin === "cron") throw noReplayOfTime();
    if (!(await replayEvent(tx, eventId, now))) throw stillPending();
    await tx.audit(caller, {
      workspaceId: event.workspace_id,
      action: "trigger-event.replayed",
      target: { type: "trigger-event", id: eventId, name: `${event.source} ${event.event}` },
    });
    tx.afterCommit(wake);
    return (await findEvent(tx, eventId)) ?? event;
  });
}

export function noSuchEvent(): ApiError {
  return new ApiError("not-found", "there is no such trigger event; they are deleted when their time is over");
}

function noReplayOfTime(): ApiError {
  return new ApiError(
    "trigger-event-not-replayable",
    "a time of a schedule does not come again; fire the workflow by hand",
  );
}

function stillPending(): ApiError {
  return new ApiError("trigger-event-pending", "the event is still to be routed; replay it when its outcome is known");
}
