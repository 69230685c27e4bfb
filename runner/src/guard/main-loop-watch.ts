/** So many pings fit into the limit. */
const PINGS = 20;
/** After so many unanswered ones the leases are not renewed any more, so that they end when the jobs do. */
const RENEWING_PINGS = 15;

export interface MainLoopWatchOptions {
  limitMs: number;
  ping: () => void;
  /** Called once. */
  onStandstill: () => void;
}

/**
 * Notices a main loop that stands still. Counts pings without an answer instead of time: when this process itself was
 * stopped, or the machine was asleep, no ping was sent and none is missing.
 */
export class MainLoopWatch {
  readonly #options: MainLoopWatchOptions;
  #unanswered = 0;
  #timer: NodeJS.Timeout | null = null;
  #waiting: (() => void)[] = [];

  constructor(options: MainLoopWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#ask(), this.#options.limitMs / PINGS);
  }

  pong(): void {
    this.#unanswered = 0;
    for (const resume of this.#waiting.splice(0)) resume();
  }

  /** Resolves at once, or when the main loop answers again. */
  async alive(): Promise<void> {
    if (this.#unanswered < RENEWING_PINGS) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #ask(): void {
    if (this.#unanswered >= PINGS) {
      if (this.#timer !== null) clearInterval(this.#timer);
      this.#timer = null;
      return this.#options.onStandstill();
    }
    this.#unanswered += 1;
    this.#options.ping();
  }
}
