/** The longest delay a timer of Node can hold; a step that may run longer is not timed. */
const MAX_DELAY_MS = 2 ** 31 - 1;

interface Timer {
  leftMs: number;
  startedAt: number;
  handle: NodeJS.Timeout | undefined;
  fire: () => void;
}

/** The time in which a job could work: it stands still while the job does, so that an outage is not the step's fault. */
export class JobClock {
  readonly #timers = new Set<Timer>();
  #isStopped = false;

  /** Calls `fire` once after `milliseconds` of the job's time; the result takes that back. */
  after(milliseconds: number, fire: () => void): () => void {
    const timer: Timer = { leftMs: milliseconds, startedAt: 0, handle: undefined, fire };
    if (milliseconds > MAX_DELAY_MS) return () => {};
    this.#timers.add(timer);
    if (!this.#isStopped) this.#arm(timer);
    return () => {
      clearTimeout(timer.handle);
      this.#timers.delete(timer);
    };
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    for (const timer of this.#timers) {
      clearTimeout(timer.handle);
      timer.leftMs -= performance.now() - timer.startedAt;
    }
  }

  start(): void {
    if (!this.#isStopped) return;
    this.#isStopped = false;
    for (const timer of this.#timers) this.#arm(timer);
  }

  #arm(timer: Timer): void {
    timer.startedAt = performance.now();
    timer.handle = setTimeout(() => {
      this.#timers.delete(timer);
      timer.fire();
    }, timer.leftMs);
  }
}
