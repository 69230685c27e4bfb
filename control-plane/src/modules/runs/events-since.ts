import type { Tx } from "../../store/store.ts";

/** With more events than this it is cheaper to read anew what they may have changed. */
const MAX_EVENTS = 200;

const NEWEST = "select last_event from workspaces where id = ?";
const EVENTS =
  "select id, type, project_id, run_id from run_events where workspace_id = ? and id > ? order by id limit ?";

export interface EventSince {
  readonly type: string;
  readonly project_id: string | null;
  readonly run_id: string | null;
}

/** The number of the workspace's last event; 0 when there is none. */
export async function newestEvent(tx: Tx, workspaceId: string): Promise<number> {
  return (await tx.get<{ last_event: number }>(NEWEST, [workspaceId]))?.last_event ?? 0;
}

/** What has happened in a workspace since the event `seen`; null when it is not known any more, or too much to look at. */
export async function eventsSince(tx: Tx, workspaceId: string, seen: number): Promise<EventSince[] | null> {
  const count = (await newestEvent(tx, workspaceId)) - seen;
  if (count === 0) return [];
  if (count < 0 || count > MAX_EVENTS) return null;
  const events = await tx.all<EventSince>(EVENTS, [workspaceId, seen, count]);
  // Events are numbered without gaps; old ones are removed.
  return events.length === count ? events : null;
}
