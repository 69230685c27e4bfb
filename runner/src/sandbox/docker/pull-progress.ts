export interface PullEvent {
  id?: string;
  status?: string;
}

const REPORT_EVERY_MS = 2_000;
const DONE = new Set(["Pull complete", "Already exists"]);
const LAYER_STATES = new Set(["Pulling fs layer", "Waiting", ...DONE]);

/** Turns the engine's many events of one pull into a line every few seconds. */
export class PullProgress {
  readonly #image: string;
  readonly #report: (line: string) => void;
  readonly #startedAt = performance.now();
  readonly #layers = new Map<string, boolean>();
  #reportedAt = performance.now();
  #reportedLayers = 0;

  constructor(image: string, report: (line: string) => void) {
    this.#image = image;
    this.#report = report;
    report(`Pulling the image ${image}`);
  }

  take({ id, status }: PullEvent): void {
    if (id === undefined || status === undefined || !LAYER_STATES.has(status)) return;
    this.#layers.set(id, DONE.has(status));
    const done = this.#done();
    if (done === this.#reportedLayers || performance.now() - this.#reportedAt < REPORT_EVERY_MS) return;
    this.#reportedAt = performance.now();
    this.#reportedLayers = done;
    this.#report(`${done} of ${this.#layers.size} layers are here`);
  }

  end(): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    this.#report(`Pulled ${this.#image} in ${seconds} s`);
  }

  #done(): number {
    return [...this.#layers.values()].filter(Boolean).length;
  }
}
