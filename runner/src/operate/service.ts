import type { Logger } from "@shipfox/shared/logger";
import type { Service } from "@shipfox/shared/operate/service-notifier";
import type { Monitor } from "./monitor.ts";
import { healthOf } from "./status.ts";

/** Beyond the drain timeout: the grace of the jobs, their last log lines, the removal of their sandboxes. */
const STOP_MARGIN_MS = 120_000;

/** What systemd is told of the runner. */
export function serviceOf(
  monitor: Monitor,
  { logger, drainTimeoutMs, outageLimitMs }: { logger: Logger; drainTimeoutMs: number; outageLimitMs: number },
): Service {
  return {
    logger,
    status: () => {
      const { state, reason } = healthOf(monitor);
      const jobs = `${monitor.running.size} of ${monitor.concurrency} jobs running`;
      return `${state}${reason === null ? "" : `: ${reason}`}; ${jobs}`;
    },
    whyStarved: () => whyStarved(monitor, outageLimitMs),
    stopLimitMs: drainTimeoutMs + STOP_MARGIN_MS,
  };
}

/**
 * Why systemd should restart the runner, or null. An outage of the control plane is waited out: by the jobs themselves, which end
 * after the outage limit, and by an idle runner for as long.
 */
export function whyStarved(monitor: Monitor, outageLimitMs: number): string | null {
  if (monitor.stuckReason !== null) return monitor.stuckReason;
  const { outageMs } = monitor;
  if (outageMs !== null && outageMs > outageLimitMs && monitor.running.size === 0)
    return `no contact with the control plane for ${Math.round(outageMs / 1000)} s`;
  return null;
}
