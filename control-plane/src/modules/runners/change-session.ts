import { ApiError } from "@shipfox/shared/errors";
import { canonicalLabels } from "@shipfox/shared/labels";
import type { WriteTx } from "../../store/store.ts";
import { type Dispatch, openSession } from "../dispatch/public.ts";

const SESSION_LABELS = "update runner_sessions set labels = ? where id = ? and ended_at is null returning runner_id";
const RUNNER_LABELS = "update runners set labels = ? where id = ? returning workspace_id, name";

/**
 * A running runner was given other labels: its session goes on, and the leases under it. Its parked claims look again at once.
 * Throws `runner-session-exhausted` when the session has ended, `empty-runner-labels` without any label.
 */
export async function relabelSession(
  dispatch: Dispatch,
  sessionId: string,
  requested: readonly string[],
): Promise<void> {
  const labels = canonicalLabels(requested);
  if (labels.length === 0)
    throw new ApiError("empty-runner-labels", "a runner needs at least one label; set SHIPFOX_RUNNER_LABELS");
  const { store, clock } = dispatch.deps;
  // In memory before it is changed, so that nobody reads the old labels from the store after the change.
  const session = await openSession(dispatch, sessionId);
  const now = clock.now();
  await store.write(async (tx) => {
    await storeLabels(tx, sessionId, labels, now);
    tx.afterCommit(() => {
      const before = dispatch.sessions.relabel(session, labels, dispatch.labelSets.all());
      dispatch.waiters.rewatch(session, before);
    });
  });
}

async function storeLabels(tx: WriteTx, sessionId: string, labels: string[], now: number): Promise<void> {
  const text = JSON.stringify(labels);
  const session = await tx.get<{ runner_id: string }>(SESSION_LABELS, [text, sessionId]);
  if (!session)
    throw new ApiError("runner-session-exhausted", "the session has ended", { details: { reason: "ended" } });
  const runner = await tx.get<{ workspace_id: string; name: string }>(RUNNER_LABELS, [text, session.runner_id]);
  if (!runner) return;
  tx.record({
    workspaceId: runner.workspace_id,
    projectId: null,
    runId: null,
    type: "runner.labels_changed",
    payload: { runner_id: session.runner_id, name: runner.name, labels },
    createdAt: now,
  });
}
