import type { ReleaseReason } from "@shipfox/shared/failure";

/** Why a job ends before its steps did. */
export type JobStop =
  /** The control plane asked for it: SIGTERM, grace, SIGKILL; with `force` killed at once. */
  | { kind: "cancelled"; force?: boolean }
  /** The job is not ours any more: killed at once, reported to nobody. */
  | { kind: "lost"; why: string }
  /** It goes back to the queue: SIGTERM, grace, SIGKILL, then release. */
  | { kind: "handed_back"; reason: ReleaseReason; why: string }
  /** The operator is in a hurry: killed at once, released if the plane answers quickly. */
  | { kind: "killed" };

/** The first stop counts; one that kills at once may still follow a gentler one. */
export class StopSwitch {
  private readonly controller = new AbortController();
  private readonly hardController = new AbortController();
  private current: JobStop | null = null;

  /** Aborted by the first stop. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Aborted when processes must die without grace. */
  get hardSignal(): AbortSignal {
    return this.hardController.signal;
  }

  get stop(): JobStop | null {
    return this.current;
  }

  request(stop: JobStop): void {
    const isHard = stop.kind === "lost" || stop.kind === "killed" || (stop.kind === "cancelled" && stop.force === true);
    if (this.current === null || isHard) this.current = stop;
    this.controller.abort();
    if (isHard) this.hardController.abort();
  }
}
