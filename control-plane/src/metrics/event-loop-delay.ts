import { type ELDHistogram, monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 20;
const WINDOW_MS = 10_000;
const QUANTILES = [0.5, 0.99, 1] as const;
const NANOSECONDS = 1e9;

/** How late the event loop comes, over a window that several readers can share: the last whole one and the one that goes on. */
export class EventLoopDelay {
  readonly #windows: [last: ELDHistogram | null, current: ELDHistogram] = [null, measure()];
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => this.#next(), WINDOW_MS).unref();
  }

  /** Seconds: the worse of both windows. */
  get quantiles(): { quantile: number; seconds: number }[] {
    const [last, current] = this.#windows;
    return QUANTILES.map((quantile) => ({
      quantile,
      seconds: Math.max(lateness(last, quantile), lateness(current, quantile)) / NANOSECONDS,
    }));
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#windows[1].disable();
  }

  #next(): void {
    this.#windows[1].disable();
    this.#windows[0] = this.#windows[1];
    this.#windows[1] = measure();
  }
}

function measure(): ELDHistogram {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  return histogram;
}

/** Nanoseconds behind the timer of the measurement; 0 while there is none. */
function lateness(histogram: ELDHistogram | null, quantile: number): number {
  if (histogram === null || histogram.count === 0) return 0;
  return Math.max(0, histogram.percentile(quantile * 100) - RESOLUTION_MS * 1e6);
}
