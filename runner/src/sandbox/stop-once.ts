/**
 * Stops a running step at most once: when its signal is aborted, or when `now` is called for another reason. `settled` ends
 * the listening, so that a step which ended by itself is not counted as stopped by an abort that comes later.
 */
export class StopOnce {
  readonly #signal: AbortSignal;
  readonly #stop: () => Promise<void>;
  #stopping: Promise<void> | null = null;

  constructor(signal: AbortSignal, stop: () => Promise<void>) {
    this.#signal = signal;
    this.#stop = stop;
    signal.addEventListener("abort", this.now, { once: true });
    if (signal.aborted) this.now();
  }

  readonly now = (): void => {
    if (this.#stopping !== null) return;
    this.#stopping = this.#stop();
    // Whoever waits for `settled` hears of it.
    this.#stopping.catch(() => {});
  };

  get hasStarted(): boolean {
    return this.#stopping !== null;
  }

  /** Resolves with whether the step was stopped, when that is done; rejects with what `stop` rejects with. */
  async settled(): Promise<boolean> {
    this.release();
    await this.#stopping;
    return this.hasStarted;
  }

  release(): void {
    this.#signal.removeEventListener("abort", this.now);
  }
}
