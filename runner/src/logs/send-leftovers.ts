import type { Logger } from "@shipfox/shared/logger";
import type { ControlPlaneClient } from "../control-plane/client.ts";
import type { Spool } from "./spool.ts";
import { LogUploader } from "./uploader.ts";

const IDLE_MS = 10_000;
const RELEASE_LIMIT_MS = 10_000;

/** Sends the logs that an earlier process could not, one after another, and removes them. Best effort; never rejects. */
export async function sendLeftovers(
  spools: readonly Spool[],
  client: ControlPlaneClient,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  for (const spool of spools) {
    const { step_id: stepId, attempt, lease_token: leaseToken } = spool.identity;
    const uploader = new LogUploader({
      spool,
      resume: true,
      send: (offset, records, callSignal) =>
        client.appendLog({ stepId, attempt, leaseToken, offset, records, signal: callSignal }),
    });
    const outcome = await uploader.drain(IDLE_MS, signal);
    await uploader.stop();
    if (outcome === "abandoned" && signal.aborted) {
      spool.close();
      continue;
    }
    spool.remove();
    logger.info({ step_id: stepId, attempt, outcome }, "log of an earlier run handled");
  }
}

/**
 * Gives the jobs of those logs back, so that they run again at once and not when their leases expire. Only after everything
 * that still ran of them is dead. Best effort; never rejects.
 */
export async function releaseLeftovers(
  spools: readonly Spool[],
  client: ControlPlaneClient,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const tokens = new Map(spools.map(({ identity }) => [identity.job_id, identity.lease_token]));
  for (const [jobId, leaseToken] of tokens) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(RELEASE_LIMIT_MS)]);
    await client.release(jobId, leaseToken, { reason: "runner_restarted" }, limit).then(
      () => logger.info({ job_id: jobId }, "a job of an earlier run was handed back"),
      () => {},
    );
  }
}
