/** Before anything is known of this machine's jobs. */
const FIRST_GUESS = 3;
const MIN_SHELLS = 2;
/** Each costs the engine tens of milliseconds and a few megabytes while it waits. */
const MAX_SHELLS = 10;
const REMEMBERED_JOBS = 8;

/** How many shells the next warm container should have ready: as many as the longest of the last jobs had steps, and one. */
export class ShellsAhead {
  readonly #steps: number[] = [];

  /** `steps` were started in the container of a job that is over. */
  jobEnded(steps: number): void {
    this.#steps.push(steps);
    if (this.#steps.length > REMEMBERED_JOBS) this.#steps.shift();
  }

  get count(): number {
    if (this.#steps.length === 0) return FIRST_GUESS;
    return Math.min(Math.max(Math.max(...this.#steps) + 1, MIN_SHELLS), MAX_SHELLS);
  }
}
