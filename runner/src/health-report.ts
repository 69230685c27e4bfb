import type { Logger } from "@shipfox/shared/logger";
import { RefusedError } from "@shipfox/shared/call-error";
import { type ControlPlaneClient, repeat } from "./control-plane/client.ts";

/** Tells the control plane, for people who wonder why a job waits, that this machine cannot run jobs and when it can again. */
export class HealthReport {
  private readonly client: ControlPlaneClient;
  private readonly sessionToken: string;
  private readonly logger: Logger;

  constructor(client: ControlPlaneClient, sessionToken: string, logger: Logger) {
    this.client = client;
    this.sessionToken = sessionToken;
    this.logger = logger;
  }

  /** Tried once: it is said again after every failed probe. */
  async unhealthy(reason: string, signal: AbortSignal): Promise<void> {
    await this.send(() => this.client.reportHealth(this.sessionToken, { state: "unhealthy", reason }, signal));
  }

  /** Repeated until it is answered: otherwise the runner would stay marked while it works. */
  async healthy(signal: AbortSignal): Promise<void> {
    await this.send(() =>
      repeat(signal, () => this.client.reportHealth(this.sessionToken, { state: "healthy" }, signal)),
    );
  }

  /** Not understood by a control plane of the published protocol, and no reason to stop anything. */
  private async send(call: () => Promise<void>): Promise<void> {
    await call().catch((error: Error) => {
      const status = error instanceof RefusedError ? error.status : null;
      this.logger.debug({ error: error.message, status }, "the health of this runner was not reported");
    });
  }
}
