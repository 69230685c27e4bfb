import { readFileSync } from "node:fs";

/**
 * Milliseconds since the machine was started, the time it was suspended included (CLOCK_BOOTTIME, in steps of 10 ms), because
 * leases go on ending while a machine sleeps. Node's own clocks do not do: `performance.now()` stands still in suspend, and
 * `Date.now()` can be set. Where there is no /proc/uptime, `performance.now()` is the best there is.
 */
export function bootTimeMs(): number {
  try {
    const seconds = Number.parseFloat(readFileSync("/proc/uptime", "latin1"));
    return Number.isFinite(seconds) ? seconds * 1000 : performance.now();
  } catch {
    return performance.now();
  }
}
