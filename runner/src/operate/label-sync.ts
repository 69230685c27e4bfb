import type { Logger } from "@shipfox/shared/logger";
import { RefusedError } from "@shipfox/shared/call-error";
import type { ControlPlaneClient } from "../control-plane/client.ts";
import type { Session } from "../registration.ts";
import type { Monitor } from "./monitor.ts";

const NOT_FOUND = 404;
const METHOD_NOT_ALLOWED = 405;

/**
 * Keeps the labels of the open session what the configuration says. A change is told to the control plane in place, because
 * a new session would end the leases of the running jobs; it is repeated through outages until it is answered or superseded.
 */
export class LabelSync {
  private readonly client: ControlPlaneClient;
  private readonly monitor: Monitor;
  private readonly logger: Logger;
  private session: Session | null = null;
  private sending = new AbortController();

  constructor(client: ControlPlaneClient, monitor: Monitor, logger: Logger) {
    this.client = client;
    this.monitor = monitor;
    this.logger = logger;
  }

  /** Sessions are opened with the labels of that moment; a reload may have come since. */
  opened(session: Session): void {
    this.session = session;
    if (!areEqual(session.labels, this.monitor.labels)) void this.send();
  }

  change(labels: readonly string[]): void {
    this.monitor.labels = labels;
    if (this.session !== null) void this.send();
  }

  stop(): void {
    this.sending.abort();
  }

  private async send(): Promise<void> {
    const { session } = this;
    if (session === null) return;
    this.sending.abort();
    this.sending = new AbortController();
    const { signal } = this.sending;
    const labels = this.monitor.labels;
    try {
      await this.client.relabelSession(session.sessionToken, labels, signal);
      this.logger.info({ labels }, "the control plane knows the new labels");
    } catch (error) {
      if (signal.aborted) return;
      const isUnknown = error instanceof RefusedError && [NOT_FOUND, METHOD_NOT_ALLOWED].includes(error.status);
      this.logger.warn(
        { labels, error: (error as Error).message },
        isUnknown
          ? "this control plane cannot change the labels of an open session; they count from the next start"
          : "the new labels count from the next session",
      );
    }
  }
}

export function areEqual(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((label, index) => label === right[index]);
}
