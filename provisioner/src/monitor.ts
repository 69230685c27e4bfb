import type { ProviderFault } from "./drivers/driver.ts";

export type Counter = "created" | "deleted" | "boot_failures" | "lost" | "adopted" | "lists" | "doubted_lists";

/** What the daemon knows of itself: written as things happen, read by `status`, the metrics and the health checks. No I/O. */
export class Monitor {
  readonly startedAt = Date.now();
  readonly counters = new Map<Counter, number>();
  readonly providerErrors = new Map<ProviderFault, number>();
  /** Another daemon with the same token, while it is the one that works. */
  heldBy: { readonly host: string; readonly until: string } | null = null;
  draining = false;
  foreign = 0;
  unknown = 0;
  /** Instances that the last whole list missed and that are not believed to be gone. */
  doubted = 0;
  deletionsWaiting = 0;
  /** Why the templates file on the disk is not the one in use. */
  templatesFault: string | null = null;
  controlPlaneFault: string | null = null;
  providerFault: string | null = null;
  lastListAt: number | null = null;
  lastPollAt: number | null = null;

  count(counter: Counter, by = 1): void {
    this.counters.set(counter, (this.counters.get(counter) ?? 0) + by);
  }

  providerFailed(fault: ProviderFault): void {
    this.providerErrors.set(fault, (this.providerErrors.get(fault) ?? 0) + 1);
  }
}
