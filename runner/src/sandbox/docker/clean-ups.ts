import type { Logger } from "pino";

const MIN_PAUSE_MS = 2_000;
const MAX_PAUSE_MS = 60_000;

/** Removals that failed, tried again in the background until they succeed: an engine may be away for a while. */
export class CleanUps {
  readonly #logger: Logger;
  readonly #timers = new Set<NodeJS.Timeout>();
  #isClosed = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Tries at once; rejects when that fails, and goes on in the background. `work` must be safe to repeat. */
  async attempt(placeId: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#later(placeId, work, MIN_PAUSE_MS);
      throw error;
    }
  }

  /** Gives up what is still to be done; the next start of the runner removes it. */
  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #later(placeId: string, work: () => Promise<void>, pauseMs: number): void {
    if (this.#isClosed) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        work().then(
          () => this.#logger.info({ place: placeId }, "removed what was left of an earlier job"),
          () => this.#later(placeId, work, Math.min(pauseMs * 2, MAX_PAUSE_MS)),
        );
      },
      pauseMs * (0.75 + Math.random() / 2),
    );
    this.#timers.add(timer);
  }
}
