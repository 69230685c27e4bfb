/** Whether a sandbox stands still. Steps that are about to start wait at it; pausing and resuming take turns. */
export class Suspension {
  #resumed: PromiseWithResolvers<void> | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  get isOn(): boolean {
    return this.#resumed !== null;
  }

  /** Holds back from now on what waits, then does `work`. Nothing when it stands still already. */
  async pause(work: () => Promise<void>): Promise<void> {
    if (this.#resumed !== null) return await this.settled();
    this.#resumed = Promise.withResolvers<void>();
    await this.#inTurn(work);
  }

  /** Does `work`, then lets go on what waits. Nothing when it does not stand still. */
  async resume(work: () => Promise<void>): Promise<void> {
    const resumed = this.#resumed;
    if (resumed === null) return;
    await this.#inTurn(async () => {
      await work();
      this.#resumed = null;
      resumed.resolve();
    });
  }

  /** Resolves when it does not stand still, or when `signal` is aborted. */
  async passed(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      while (this.#resumed !== null && !signal.aborted) await Promise.race([this.#resumed.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Resolves when no pause or resume is under way. */
  async settled(): Promise<void> {
    await this.#turn;
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    await done;
  }
}
