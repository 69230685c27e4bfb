import type { WriteTx } from "../../store/store.ts";
import type { Dispatch } from "./dispatch.ts";
import type { LabelSet, Session } from "./sessions.ts";

/** The label sets of a workspace for which jobs wait, with how many do: counters, however long the queue is. */
export function waitingSets(dispatch: Dispatch, workspaceId: string): (LabelSet & { readonly queued: number })[] {
  return [...dispatch.labelSets.all()]
    .filter((set) => set.workspaceId === workspaceId)
    .map((set) => ({ ...set, queued: sum(dispatch.depths.projects(set.id)?.values() ?? []) }))
    .filter(({ queued }) => queued > 0);
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

/** The sessions of a workspace that wait for a job now. */
export function idleSessions(dispatch: Dispatch, workspaceId: string, now: number): Session[] {
  return dispatch.sessions
    .online(workspaceId, now)
    .filter(({ parkedClaims, fault }) => parkedClaims > 0 && fault === null);
}

const END_UNUSED = `update runner_sessions set ended_at = ?, end_reason = ?
  where id = ? and ended_at is null and claims_used = 0`;

/**
 * Ends a session of one claim that has not had it. The claim counts itself on the same row in its own transaction, so a
 * session is either given a job or ended. False when it has been given one, or had ended before.
 */
export async function endUnusedSession(
  tx: WriteTx,
  dispatch: Dispatch,
  sessionId: string,
  reason: string,
  now: number,
): Promise<boolean> {
  if ((await tx.run(END_UNUSED, [now, reason, sessionId])) === 0) return false;
  tx.afterCommit(() => {
    const session = dispatch.sessions.get(sessionId);
    if (session) dispatch.waiters.wakeSession(session);
    dispatch.sessions.forget(sessionId);
  });
  return true;
}
