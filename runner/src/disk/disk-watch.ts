import type { Logger } from "@shipfox/shared/logger";
import { type DiskFloor, findShortage } from "./disk-floor.ts";

/** A job while it can write. */
export interface DiskUser {
  /** Bytes that it takes on this machine. May reject, and take its time. */
  measure: () => Promise<number>;
  /** It wrote more than a job may: told once. */
  onLimit: (message: string) => void;
  /** The machine has too little room and this job has to go: told once. */
  onShortage: (message: string) => void;
}

export interface DiskWatchOptions {
  floor: DiskFloor;
  /** What one job may write; null for no limit. */
  limitBytes: number | null;
  /** Folders whose file systems jobs fill. Asked each time: some are known late. */
  paths: () => readonly string[];
  intervalMs?: number;
  logger: Logger;
}

interface Watched {
  user: DiskUser;
  usedBytes: number;
  isTold: boolean;
}

const INTERVAL_MS = 3_000;
/** A large workspace is measured less often, so that measuring takes at most this part of a processor's time. */
const MAX_SHARE_OF_TIME = 0.2;

/**
 * Looks every few seconds at what the running jobs have written and at what room is left on this machine. Over the limit a
 * job is told to end; below the floor the largest one is, and the next only when that one is gone and the room still missing.
 */
export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | null = null;
  #isLooking = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  /** Why no job can be taken now, a sentence for people, or null. */
  async shortage(): Promise<string | null> {
    return await findShortage(this.#options.paths(), this.#options.floor);
  }

  /** Until the returned function is called: when everything of the job is removed. */
  watch(user: DiskUser): () => void {
    const watched = { user, usedBytes: 0, isTold: false };
    this.#watched.add(watched);
    this.#lookLater(0);
    return () => void this.#watched.delete(watched);
  }

  #lookLater(busyMs: number): void {
    if (this.#timer !== null || this.#isLooking || this.#watched.size === 0) return;
    const intervalMs = Math.max(this.#options.intervalMs ?? INTERVAL_MS, busyMs / MAX_SHARE_OF_TIME);
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        void this.#look();
      },
      intervalMs * (0.9 + Math.random() / 5),
    );
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const startedAt = performance.now();
    this.#isLooking = true;
    try {
      const shortage = await this.shortage();
      if (shortage !== null || this.#options.limitBytes !== null) await this.#measureAll();
      this.#enforceLimit();
      if (shortage !== null) this.#makeRoom(shortage);
    } catch (error) {
      this.#options.logger.warn({ error: (error as Error).message }, "cannot look at the disk");
    } finally {
      this.#isLooking = false;
      this.#lookLater(performance.now() - startedAt);
    }
  }

  /** One after another: two processes that walk the disk are slower than one. */
  async #measureAll(): Promise<void> {
    for (const watched of this.#watched) {
      try {
        watched.usedBytes = await watched.user.measure();
      } catch (error) {
        this.#options.logger.debug({ error: (error as Error).message }, "cannot measure what a job wrote");
      }
    }
  }

  #enforceLimit(): void {
    const { limitBytes } = this.#options;
    if (limitBytes === null) return;
    for (const watched of this.#watched) {
      if (watched.isTold || watched.usedBytes <= limitBytes) continue;
      watched.isTold = true;
      watched.user.onLimit(`The job wrote ${watched.usedBytes} bytes; a job on this runner may write ${limitBytes}.`);
    }
  }

  #makeRoom(shortage: string): void {
    const watched = [...this.#watched];
    if (watched.some(({ isTold }) => isTold)) return;
    const largest = watched.sort((a, b) => b.usedBytes - a.usedBytes)[0];
    if (largest === undefined) return;
    largest.isTold = true;
    largest.user.onShortage(shortage);
  }
}
