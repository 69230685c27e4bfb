import type { Logger } from "pino";
import type { Engine } from "./engine.ts";
import { type GarbageRules, ImageRecords, decideGarbage } from "./image-records.ts";

export interface ImageGarbageOptions {
  engine: Engine;
  recordFile: string;
  rules: GarbageRules;
  defaultImage: string;
  logger: Logger;
}

/** Not at the start, when jobs wait; then about once an hour. */
const FIRST_RUN_MS = 10 * 60_000;
const INTERVAL_MS = 60 * 60_000;

/**
 * Removes images that this runner pulled and no job needs any more. Never one that somebody else brought, that a container
 * uses, that means another image by now, or the runner's own. What cannot be removed is left and tried again.
 */
export class ImageGarbage {
  readonly #options: ImageGarbageOptions;
  readonly #records: ImageRecords;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ImageGarbageOptions) {
    this.#options = options;
    this.#records = new ImageRecords(options.recordFile);
    options.engine.onPulled = async (reference) => await this.#record(reference);
  }

  start(): void {
    const { maxAgeMs, maxBytes } = this.#options.rules;
    if (this.#timer === null && (maxAgeMs !== null || maxBytes !== null)) this.#runLater(FIRST_RUN_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async run(now = Date.now()): Promise<void> {
    const { rules, defaultImage } = this.#options;
    const others = (await this.#records.all()).filter(({ reference }) => reference !== defaultImage);
    for (const { reference, id } of decideGarbage(others, rules, now)) await this.#remove(reference, id);
  }

  async #remove(reference: string, id: string): Promise<void> {
    const { engine, logger } = this.#options;
    try {
      const found = await engine.inspectImage(reference);
      if (found?.Id === id && !(await engine.removeImage(reference))) return;
      await this.#records.change((records) => records.delete(reference));
      if (found?.Id === id) logger.info({ image: reference }, "removed an image that no job has used for long");
    } catch (error) {
      logger.warn({ err: error, image: reference }, "cannot remove an unused image");
    }
  }

  async #record(reference: string): Promise<void> {
    const found = await this.#options.engine.inspectImage(reference);
    if (found === null) return;
    const record = { reference, id: found.Id, sizeBytes: found.Size, usedAt: Date.now() };
    await this.#records.change((records) => records.set(reference, record));
  }

  /** To be told of every image that is wanted. Only what was pulled has a record; off the way of the job that waits. */
  touch(reference: string): void {
    const usedAt = Date.now();
    void this.#records
      .all()
      .then(async (all) => {
        if (!all.some((record) => record.reference === reference)) return;
        await this.#records.change((records) => {
          const known = records.get(reference);
          if (known !== undefined) records.set(reference, { ...known, usedAt });
        });
      })
      .catch((error: unknown) => this.#options.logger.warn({ err: error }, "cannot note the use of an image"));
  }

  #runLater(delayMs: number): void {
    this.#timer = setTimeout(
      () => {
        void this.run()
          .catch((error: unknown) => this.#options.logger.warn({ err: error }, "cannot look for unused images"))
          .finally(() => this.#timer !== null && this.#runLater(INTERVAL_MS));
      },
      delayMs * (0.75 + Math.random() / 2),
    );
    this.#timer.unref();
  }
}
