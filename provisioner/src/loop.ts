import { setTimeout as sleep } from "node:timers/promises";

/** Waits that one event ends early: for the loops, which otherwise go by the clock. */
export class Waker {
  private wakeUp: (() => void) | null = null;
  private isWoken = false;

  /** Ends the wait in progress, or the next one at once. */
  wake(): void {
    this.isWoken = true;
    this.wakeUp?.();
  }

  /** Resolves after `limitMs`, when woken, or when `signal` is aborted; whichever is first. */
  async wait(limitMs: number, signal: AbortSignal): Promise<void> {
    if (!this.isWoken && !signal.aborted) {
      const woken = new AbortController();
      this.wakeUp = () => woken.abort();
      await sleep(limitMs, undefined, { signal: AbortSignal.any([signal, woken.signal]) }).catch(() => {});
      this.wakeUp = null;
    }
    this.isWoken = false;
  }
}

/** The interval, shortened at random by up to a fifth: many daemons do not keep step. */
export function jittered(intervalMs: number, random: number): number {
  return intervalMs * (1 - random / 5);
}
