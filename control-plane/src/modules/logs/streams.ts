import type { Store } from "../../store/store.ts";
import type { LogStore } from "./log-store.ts";
import { type StreamRef, type StreamState, streamKey } from "./model.ts";
import { findStream, type StreamRow } from "./store.ts";

/** Logs that are remembered while nobody works on them; another one is looked up again. */
const MAX_IDLE_STREAMS = 10_000;

/** What this process remembers of one log. Changed only in turn. */
export interface StreamEntry {
  readonly stream: StreamRef;
  /** null: nothing was written yet. undefined: not looked up, or no longer sure. */
  state: StreamState | null | undefined;
  /** Settles when everything asked for so far is done. */
  turn: Promise<unknown>;
  waiting: number;
}

export interface LoadedEntry extends StreamEntry {
  state: StreamState | null;
}

/** The logs that this process works on, each with its own queue. */
export class Streams {
  readonly #store: Store;
  readonly #files: LogStore;
  readonly #entries = new Map<string, StreamEntry>();

  constructor(store: Store, files: LogStore) {
    this.#store = store;
    this.#files = files;
  }

  /** Runs `work` when everything asked for this log before is done. */
  inTurn<T>(stream: StreamRef, work: (entry: LoadedEntry) => Promise<T>): Promise<T> {
    const entry = this.#entry(stream);
    entry.waiting += 1;
    const result = entry.turn.then(async () => {
      try {
        if (entry.state === undefined) entry.state = await this.#load(stream);
        return await work(entry as LoadedEntry);
      } finally {
        entry.waiting -= 1;
      }
    });
    entry.turn = result.catch(() => undefined);
    return result;
  }

  /** What is remembered at this moment; undefined when that is nothing. */
  known(stream: Pick<StreamRef, "stepId" | "attempt">): StreamEntry | undefined {
    return this.#entries.get(streamKey(stream.stepId, stream.attempt));
  }

  /** What is remembered is no longer sure: it is looked up again in the next turn. */
  forget(stream: StreamRef): void {
    const entry = this.known(stream);
    if (entry) entry.state = undefined;
  }

  /** What is known of a log that has a row. */
  async state(stream: StreamRef): Promise<StreamState> {
    const state = this.known(stream)?.state ?? (await this.inTurn(stream, async (entry) => entry.state));
    if (!state) throw new Error(`the log of step ${stream.stepId}, attempt ${stream.attempt}, was removed`);
    return state;
  }

  /** Settles when nobody works on a log. */
  async idle(): Promise<void> {
    while ([...this.#entries.values()].some((entry) => entry.waiting > 0)) {
      await Promise.all([...this.#entries.values()].map((entry) => entry.turn));
    }
  }

  #entry(stream: StreamRef): StreamEntry {
    const key = streamKey(stream.stepId, stream.attempt);
    const entry = this.#entries.get(key) ?? { stream, state: undefined, turn: Promise.resolve(), waiting: 0 };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_IDLE_STREAMS) this.#forgetOldest();
    return entry;
  }

  /** Two entries of one log would let two appends run at once, so one that is worked on stays. */
  #forgetOldest(): void {
    for (const [key, entry] of this.#entries) {
      if (entry.waiting > 0) continue;
      this.#entries.delete(key);
      return;
    }
  }

  async #load(stream: StreamRef): Promise<StreamState | null> {
    const row = await this.#store.read((tx) => findStream(tx, stream.stepId, stream.attempt));
    return row ? stateOf(row, await this.#files.repair(stream)) : null;
  }
}

/** What a row means together with the bytes that are kept. */
export function stateOf(row: StreamRow, stored: number): StreamState {
  return {
    committed: Math.max(stored, row.length ?? 0),
    stored,
    capped: row.capped === 1,
    closed: row.state === "closed",
    truncated: row.truncated === 1,
    closedAt: row.closedAt,
  };
}
