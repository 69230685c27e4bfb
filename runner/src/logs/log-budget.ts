/** Upstream's budget: what is assumed until the control plane has told its own. */
const ASSUMED_BYTES = 32 * 1024 * 1024;

/**
 * How many bytes of log the control plane still takes of one job, over all its steps, as it last said; it grows with the
 * minutes. A control plane that says nothing has no use for our keeping it: then there is no bound here.
 */
export class LogBudget {
  private left = ASSUMED_BYTES;

  get leftBytes(): number {
    return this.left;
  }

  /** `leftBytes` of the newest answer to an append; undefined when it had none. */
  told(leftBytes: number | undefined): void {
    this.left = leftBytes ?? Number.POSITIVE_INFINITY;
  }
}
