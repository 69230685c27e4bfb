import type { Clock } from "../../../store/clock.ts";
import { Lru } from "../../../store/lru.ts";

const MINUTE_MS = 60_000;
/** Connections that are remembered; one that is forgotten starts with a full measure. */
const MAX_CONNECTIONS = 10_000;

/** How many calls a connection takes: so many in a minute, as many at once. In memory, so for each process. */
export class CallRate {
  readonly #clock: Clock;
  readonly #perMinute: number;
  readonly #left = new Lru<string, { calls: number; at: number }>(MAX_CONNECTIONS);

  /** `perMinute` 0 takes any number. */
  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock;
    this.#perMinute = perMinute;
  }

  /** Counts a call and answers null, or the seconds until the next is taken. */
  take(connectionId: string): number | null {
    if (this.#perMinute === 0) return null;
    const at = this.#clock.monotonic();
    const before = this.#left.get(connectionId) ?? { calls: this.#perMinute, at };
    const regained = ((at - before.at) * this.#perMinute) / MINUTE_MS;
    const calls = Math.min(this.#perMinute, before.calls + regained);
    if (calls < 1) return Math.ceil(((1 - calls) * MINUTE_MS) / this.#perMinute / 1000);
    this.#left.set(connectionId, { calls: calls - 1, at });
    return null;
  }
}
