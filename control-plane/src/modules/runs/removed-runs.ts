/**
 * Ids of runs that are gone for everybody: few, and none most of the time, in an index of their own. Their column in the row of
 * a run stands behind its workflow file, so that looking there costs as much as reading all of it.
 */
export const REMOVED = "(select id from runs where removed_at is not null)";

/** What the reading side must forget of a run that is gone. */
export interface RemovedRun {
  readonly id: string;
  readonly project_id: string;
}

/** Tells those who keep what they read of runs that some are gone: there is no event of it. */
export class RemovedRuns {
  readonly #listeners: ((runs: readonly RemovedRun[]) => void)[] = [];
  #count = 0;

  /** Grows with every removal: what was read while it was the same holds no run that is gone. */
  get count(): number {
    return this.#count;
  }

  /** Called after the commit. Must not throw. */
  subscribe(listener: (runs: readonly RemovedRun[]) => void): void {
    this.#listeners.push(listener);
  }

  tell(runs: readonly RemovedRun[]): void {
    this.#count += 1;
    for (const listener of this.#listeners) listener(runs);
  }
}
