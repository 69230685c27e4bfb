import { ApiError } from "@shipfox/shared/errors";
import type { HealthBody } from "@shipfox/shared/machine";
import type { WriteTx } from "../../store/store.ts";
import type { Dispatch } from "../dispatch/public.ts";

const SESSION = `select runner_id, workspace_id, unhealthy_since, unhealthy_reason from runner_sessions where id = ? and ended_at is null`;
const SET = "update runner_sessions set unhealthy_since = ?, unhealthy_reason = ? where id = ?";

/**
 * The runner says whether it can run jobs. One that cannot claims nothing, stays visible with its reason, and says so again
 * while that lasts, which also keeps it online. Repeating it changes nothing; throws 409 when the session has ended.
 */
export async function reportHealth(
  tx: WriteTx,
  dispatch: Dispatch,
  sessionId: string,
  health: HealthBody,
  now: number,
): Promise<void> {
  const session = await tx.get<{
    runner_id: string;
    workspace_id: string;
    unhealthy_since: number | null;
    unhealthy_reason: string | null;
  }>(SESSION, [sessionId]);
  if (!session)
    throw new ApiError("runner-session-exhausted", "the session has ended", { details: { reason: "ended" } });
  const fault =
    health.state === "healthy"
      ? null
      : { since: session.unhealthy_since ?? now, reason: health.reason ?? "no reason given" };
  tx.afterCommit(() => {
    const known = dispatch.sessions.get(sessionId);
    if (!known) return;
    known.fault = fault;
    dispatch.sessions.touch(known, now);
  });
  if ((fault?.reason ?? null) === session.unhealthy_reason) return;
  await tx.run(SET, [fault?.since ?? null, fault?.reason ?? null, sessionId]);
  tx.record({
    workspaceId: session.workspace_id,
    projectId: null,
    runId: null,
    type: fault ? "runner.unhealthy" : "runner.healthy",
    payload: { runner_id: session.runner_id, ...(fault ? { reason: fault.reason } : {}) },
    createdAt: now,
  });
}
