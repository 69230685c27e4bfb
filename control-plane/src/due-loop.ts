import type { Logger } from "@shipfox/shared/logger";
import type { Clock } from "./store/clock.ts";

/** Never sleep longer than this: a clock may be set, and `setTimeout` overflows after 24 days. */
const MAX_SLEEP_MS = 60_000;
/** A round that failed is tried again after this long. */
const RETRY_MS = 1_000;

/** A round that lasts longer, or that comes so much later than planned, is taken for one that never ends. */
const BEHIND_MS = 60_000;

/** Does what is due and answers when the next is, milliseconds since the epoch; null when nothing is planned. */
export type DueTask = (now: number) => Promise<number | null>;

/**
 * The one timer behind everything that happens later: it is armed for the earliest due row and runs all tasks when it
 * fires. What a task does is a conditional change, harmless when done twice.
 */
export class DueLoop {
  readonly #clock: Clock;
  readonly #log: Logger;
  #tasks: readonly DueTask[] = [];
  #timer: NodeJS.Timeout | null = null;
  #wakeAt = Number.POSITIVE_INFINITY;
  #firesAtOnce = false;
  #running: Promise<void> | null = null;
  #stopped = true;
  /** When the round that goes on began, monotonic. */
  #roundBeganAt = 0;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  start(tasks: readonly DueTask[]): void {
    this.#tasks = tasks;
    this.#stopped = false;
    this.arm(this.#clock.now());
  }

  /** Something is due at `at`: look then, unless an earlier look is planned. */
  arm(at: number): void {
    const now = this.#clock.now();
    // A timer that should have fired sleeps through a clock that was set forward.
    if (this.#stopped || this.#firesAtOnce || (at >= this.#wakeAt && this.#wakeAt > now)) return;
    this.#wakeAt = Math.min(at, this.#wakeAt);
    if (this.#timer) clearTimeout(this.#timer);
    const sleep = Math.min(Math.max(0, this.#wakeAt - now), MAX_SLEEP_MS);
    this.#firesAtOnce = sleep === 0;
    this.#timer = setTimeout(() => this.#fire(), sleep).unref();
  }

  /** Whether it does not do what is due any more. */
  isBehind(): boolean {
    if (this.#stopped) return true;
    if (this.#running) return this.#clock.monotonic() - this.#roundBeganAt > BEHIND_MS;
    return this.#clock.now() - this.#wakeAt > BEHIND_MS;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#running;
  }

  #fire(): void {
    this.#firesAtOnce = false;
    this.#wakeAt = Number.POSITIVE_INFINITY;
    if (this.#running) {
      // What became due during a round is looked at in the next.
      void this.#running.then(() => this.arm(this.#clock.now()));
      return;
    }
    this.#roundBeganAt = this.#clock.monotonic();
    this.#running = this.#round().finally(() => {
      this.#running = null;
    });
  }

  async #round(): Promise<void> {
    for (const task of this.#tasks) {
      try {
        const next = await task(this.#clock.now());
        this.arm(next ?? this.#clock.now() + MAX_SLEEP_MS);
      } catch (error) {
        this.#log.error({ err: error }, "a planned task failed; it is tried again");
        this.arm(this.#clock.now() + RETRY_MS);
      }
    }
  }
}
