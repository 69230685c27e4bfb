import { newestEvent } from "../../store/newest-event.ts";
import type { Tx } from "../../store/store.ts";

/** With more events than this it is cheaper to read anew what they may have changed. */
const MAX_EVENTS = 200;

const EVENTS =
  "select id, type, project_id, run_id from run_events where workspace_id = ? and id > ? order by id limit ?";

export interface EventSince {
  readonly type: string;
  readonly project_id: string | null;
  readonly run_id: string | null;
}

/** How far the event log of a workspace is known not to have changed something. */
export interface Mark {
  readonly workspaceId: string;
  /** The number of the last event that was looked at. */
  seen: number;
}

/**
 * Whether, in this snapshot, no event behind the mark changes what it stands at; the mark then moves to the last event. False
 * also when that is not known any more, or there is too much to look at.
 */
export async function holdsSince(tx: Tx, mark: Mark, changes: (event: EventSince) => boolean): Promise<boolean> {
  const { seen } = mark;
  const events = await eventsSince(tx, mark.workspaceId, seen);
  if (!events || events.some(changes)) return false;
  // From where this look began: another one may have moved the mark meanwhile.
  mark.seen = Math.max(mark.seen, seen + events.length);
  return true;
}

async function eventsSince(tx: Tx, workspaceId: string, seen: number): Promise<EventSince[] | null> {
  const count = ((await newestEvent(tx, workspaceId)) ?? 0) - seen;
  if (count === 0) return [];
  if (count < 0 || count > MAX_EVENTS) return null;
  const events = await tx.all<EventSince>(EVENTS, [workspaceId, seen, count]);
  // Events are numbered without gaps; old ones are removed.
  return events.length === count ? events : null;
}
