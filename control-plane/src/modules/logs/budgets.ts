import { Lru } from "../../store/lru.ts";
import type { Store } from "../../store/store.ts";
import type { LogStore } from "./log-store.ts";
import { type BudgetSettings, budgetBytes, type StreamRef } from "./model.ts";
import { firstOpenedAt } from "./store.ts";

/** Executions whose use is remembered; another one is counted again from its files. */
const MAX_EXECUTIONS = 10_000;

export interface Usage {
  /** Wall time in milliseconds; null before the first append. */
  firstAppendAt: number | null;
  storedBytes: number;
}

/** How much each job execution has logged, over all its streams. */
export class Budgets {
  readonly #store: Store;
  readonly #files: LogStore;
  readonly #settings: BudgetSettings;
  readonly #usages = new Lru<string, Usage>(MAX_EXECUTIONS);

  constructor(store: Store, files: LogStore, settings: BudgetSettings) {
    this.#store = store;
    this.#files = files;
    this.#settings = settings;
  }

  /** Bytes that the execution may log in addition; at 0 nothing more is kept. The append that crosses the line is kept whole. */
  leftBytes(usage: Usage, now: number): number {
    return Math.max(0, budgetBytes(this.#settings, now - (usage.firstAppendAt ?? now)) - usage.storedBytes);
  }

  /** The use of the stream's execution; the caller counts on it what it stores. */
  async of(stream: StreamRef): Promise<Usage> {
    const known = this.#usages.get(stream.executionId);
    if (known) return known;
    const counted = await this.#count(stream);
    // Two streams of one execution may begin at once; they must count on the same object.
    const earlier = this.#usages.get(stream.executionId);
    if (earlier) return earlier;
    this.#usages.set(stream.executionId, counted);
    return counted;
  }

  async #count(stream: StreamRef): Promise<Usage> {
    const firstAppendAt = await this.#store.read((tx) => firstOpenedAt(tx, stream.executionId));
    return { firstAppendAt, storedBytes: firstAppendAt === null ? 0 : await this.#files.usage(stream) };
  }
}
