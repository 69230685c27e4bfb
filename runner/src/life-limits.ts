import type { Logger } from "@shipfox/shared/logger";

export interface LifeLimits {
  readonly registerLimitMs?: number | undefined;
  readonly maxLifetimeMs?: number | undefined;
}

export interface LifeOptions {
  readonly limits: LifeLimits;
  readonly logger: Logger;
  /** Whether a session was opened at any time. */
  readonly hasRegistered: () => boolean;
  /** Ends the runner, which has nothing to lose yet. */
  readonly giveUp: (why: string) => void;
  /** Hands the running jobs back and ends the runner. */
  readonly leave: (why: string) => void;
}

/**
 * The dead man's timers of a machine that nobody may come back for: it ends when it cannot register, and at the end of its life.
 * Timers run on the monotonic clock. The guard kills a runner that does not heed the second one.
 */
export class LifeWatch {
  /** It could not register in time. */
  gaveUp = false;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor({ limits: { registerLimitMs, maxLifetimeMs }, logger, hasRegistered, giveUp, leave }: LifeOptions) {
    this.#after(registerLimitMs, () => {
      if (hasRegistered()) return;
      this.gaveUp = true;
      const why = `not registered within ${(registerLimitMs ?? 0) / 1000} s`;
      logger.error({ why }, "the runner ends: nobody may know of this machine");
      giveUp(why);
    });
    this.#after(maxLifetimeMs, () => leave(`the runner's longest life of ${(maxLifetimeMs ?? 0) / 1000} s is over`));
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  /** Counted from the start of this process. */
  #after(limitMs: number | undefined, work: () => void): void {
    if (limitMs !== undefined) this.#timers.push(setTimeout(work, Math.max(0, limitMs - performance.now())));
  }
}
