import { ApiError } from "@shipfox/shared/errors";
import { monotonic } from "../../store/clock.ts";
import type { LeasePrincipal } from "../../http/route.ts";
import type { Dispatch } from "./dispatch.ts";
import { findLease, leaseGone, writeFirstHeartbeat, type LiveLease } from "./leases.ts";

export interface Heartbeat {
  /** The job is over on this side: stop and say when everything is dead. */
  readonly cancel: boolean;
  /** Finish what runs, claim nothing more. */
  readonly drain: boolean;
  /** With `cancel`: without grace, the lease has ended. */
  readonly force?: true;
}

const DRAINING = "select drain_requested_at from runners where id = ?";

/**
 * Renews the lease; while there is nothing to say, the answer waits up to `waitMs`, so that cancel and drain are told at
 * once, and to a runner that is stopping already (`knowsCancel`) that its grace was taken. Throws 404 `running-job-execution-not-found` when the lease is not the live one.
 */
export async function heartbeat(
  dispatch: Dispatch,
  principal: LeasePrincipal,
  options: { waitMs: number; knowsCancel: boolean; signal: AbortSignal },
): Promise<Heartbeat> {
  const { store, clock, settings } = dispatch.deps;
  const lease = dispatch.leases.get(principal.fence);
  if (!lease || lease.executionId !== principal.executionId) return answerForEnded(dispatch, principal);
  dispatch.leases.renew(lease, monotonic() + settings.leaseTermMs);
  const session = dispatch.sessions.get(lease.sessionId);
  if (session) dispatch.sessions.touch(session, clock.now());
  if (!lease.heartbeatWritten) {
    lease.heartbeatWritten = true;
    await store.write((tx) => writeFirstHeartbeat(tx, lease.fence, clock.now()));
  }
  let drain = await isDraining(dispatch, lease.runnerId);
  const news = () =>
    (lease.state === "cancelling" && !options.knowsCancel) ||
    (drain && !lease.drainTold) ||
    !dispatch.leases.get(lease.fence);
  if (!news() && options.waitMs > 0 && !dispatch.waiters.stopped) {
    await wakeUpOrTimeout(lease, options);
    drain = await isDraining(dispatch, lease.runnerId);
  }
  if (lease.state === "revoked") return { cancel: true, drain: false, force: true };
  if (!dispatch.leases.get(lease.fence)) return answerForEnded(dispatch, principal);
  dispatch.leases.renew(lease, monotonic() + settings.leaseTermMs);
  lease.drainTold ||= drain;
  return { cancel: lease.state === "cancelling", drain };
}

/** An execution that ended by its own report says `cancel`, as upstream does; every other end is a lease that is gone. */
async function answerForEnded(dispatch: Dispatch, principal: LeasePrincipal): Promise<Heartbeat> {
  const lease = await dispatch.deps.store.read((tx) => findLease(tx, principal.fence));
  if (lease && lease.job_execution_id === principal.executionId && lease.end_reason === "finished")
    return { cancel: true, drain: false };
  throw leaseGone("running-job-execution-not-found", lease?.end_reason ?? "revoked");
}

async function isDraining(dispatch: Dispatch, runnerId: string): Promise<boolean> {
  const row = await dispatch.deps.store.read((tx) =>
    tx.get<{ drain_requested_at: number | null }>(DRAINING, [runnerId]),
  );
  if (!row)
    throw new ApiError("running-job-execution-not-found", "the runner was removed", { details: { reason: "revoked" } });
  return row.drain_requested_at !== null;
}

function wakeUpOrTimeout(lease: LiveLease, options: { waitMs: number; signal: AbortSignal }): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      lease.wakeUps.delete(done);
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, options.waitMs);
    lease.wakeUps.add(done);
    options.signal.addEventListener("abort", done, { once: true });
  });
}
