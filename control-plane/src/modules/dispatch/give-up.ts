import type { InfrastructureCause, ReleaseReason } from "@shipfox/shared/failure";
import type { LeaseEndReason } from "@shipfox/shared/machine";
import type { LeasePrincipal } from "../../http/route.ts";
import type { WriteTx } from "../../store/store.ts";
import { executionLost } from "../runs/public.ts";
import type { Dispatch } from "./dispatch.ts";
import { findLease, findRunnerLeases, leaseGone } from "./leases.ts";

const RELEASE_MESSAGES: Record<ReleaseReason, string> = {
  draining: "the runner is draining and gave the job back",
  runner_restarted: "the runner was restarted while it ran the job",
  sandbox_unavailable: "the runner could not make a sandbox for the job",
  disk_full: "the runner's disk is full",
  machine_going: "the runner is about to lose its machine",
  docker_unavailable: "the runner's container engine did not answer",
  image_unavailable: "the image could not be pulled from its registry",
  hook_failed: "the operator's pre-job hook failed on the runner",
};

/**
 * The runner hands its job back, or, after a cancel, says that everything is dead. Repeating it is harmless as long as
 * the lease is known to have ended that way.
 */
export async function releaseLease(
  tx: WriteTx,
  dispatch: Dispatch,
  principal: LeasePrincipal,
  release: { reason: ReleaseReason; message?: string | undefined },
  now: number,
): Promise<void> {
  const lease = await findLease(tx, principal.fence);
  if (!lease || lease.job_execution_id !== principal.executionId) throw leaseGone("lease-not-active", "revoked");
  if (lease.ended_at !== null) {
    if (lease.end_reason === "released" || lease.end_reason === "cancelled" || lease.end_reason === "finished") return;
    throw leaseGone("lease-not-active", lease.end_reason);
  }
  if (lease.state === "cancelling") {
    await dispatch.end(tx, lease, "cancelled", now);
    return;
  }
  const message = release.message
    ? `${RELEASE_MESSAGES[release.reason]}: ${release.message}`
    : RELEASE_MESSAGES[release.reason];
  await executionLost(
    tx,
    dispatch.runs,
    lease.job_execution_id,
    { cause: release.reason, message, avoidedSessionId: lease.session_id },
    now,
  );
  await dispatch.end(tx, lease, "released", now);
}

/** A runner's session is over (new session, sign-off, revocation): its live leases end and their jobs are queued again. */
export async function endRunnerLeases(
  tx: WriteTx,
  dispatch: Dispatch,
  runnerId: string,
  end: { reason: LeaseEndReason; cause: InfrastructureCause; message: string },
  now: number,
): Promise<void> {
  for (const lease of await findRunnerLeases(tx, runnerId)) {
    if (lease.state === "live") {
      await executionLost(
        tx,
        dispatch.runs,
        lease.job_execution_id,
        { cause: end.cause, message: end.message, avoidedSessionId: lease.session_id },
        now,
      );
    }
    await dispatch.end(tx, lease, lease.state === "live" ? end.reason : "cancelled", now);
  }
}
