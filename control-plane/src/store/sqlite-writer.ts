import type { Logger } from "@shipfox/shared/logger";
import { overloaded, StoreError, storeUnavailable } from "./errors.ts";
import { publish, type Committed } from "./publish.ts";
import { appendRunEvents } from "./run-events.ts";
import type { SqliteConnection } from "./sqlite-connection.ts";
import { MAX_WAITING, type RunEventDraft, type RunEventListener, type WriteTx } from "./store.ts";
import { Unit } from "./unit.ts";

/** Units that share one commit. More would make the first of them wait for longer than the commit they save. */
const MAX_UNITS_PER_COMMIT = 64;

interface Queued {
  body: (tx: WriteTx) => Promise<unknown>;
  resolve: (result: unknown) => void;
  reject: (error: unknown) => void;
  /** Its batch failed for a reason that lies in one of its units: each is tried by itself. */
  alone: boolean;
}

/** A unit that is done and waits for the commit it shares. */
interface Done extends Committed {
  queued: Queued;
  result: unknown;
  drafts: RunEventDraft[];
}

/**
 * The one writer of a SQLite database. The units queued in one turn of the event loop share one transaction, and so
 * one flush of the disk, each in a savepoint of its own; between two commits the event loop gets its turn.
 */
export class SqliteWriter {
  /** Commits and committed units since the start; their ratio shows what the shared commits save. */
  readonly counters = { commits: 0, units: 0 };
  readonly #connection: SqliteConnection;
  readonly #onRunEvents: RunEventListener;
  readonly #log: Logger;
  #queue: Queued[] = [];
  #scheduled = false;
  #closed = false;
  #whenIdle: (() => void) | undefined;

  constructor(connection: SqliteConnection, onRunEvents: RunEventListener, log: Logger) {
    this.#connection = connection;
    this.#onRunEvents = onRunEvents;
    this.#log = log;
  }

  write<T>(body: (tx: WriteTx) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(storeUnavailable("it is closing"));
    if (this.#queue.length >= MAX_WAITING) return Promise.reject(overloaded(this.#queue.length));
    return new Promise<T>((resolve, reject) => {
      this.#queue.push({ body, resolve: resolve as (result: unknown) => void, reject, alone: false });
      this.#schedule();
    });
  }

  /** Refuses new units and settles once the accepted ones are committed. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#scheduled) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => void this.#nextBatch());
  }

  async #nextBatch(): Promise<void> {
    const batch = this.#queue.splice(0, this.#queue[0]?.alone ? 1 : MAX_UNITS_PER_COMMIT);
    try {
      await this.#commitTogether(batch);
    } catch (error) {
      this.#rollBack();
      const answer = error instanceof StoreError ? error : storeUnavailable("the commit failed", error);
      for (const { reject } of batch) reject(answer);
    }
    this.#scheduled = false;
    if (this.#queue.length > 0) this.#schedule();
    else this.#whenIdle?.();
  }

  async #commitTogether(batch: Queued[]): Promise<void> {
    this.#connection.control("begin immediate");
    const done: Done[] = [];
    for (const [index, queued] of batch.entries()) {
      try {
        done.push(await this.#perform(queued));
      } catch (error) {
        queued.reject(error);
        if (this.#connection.inTransaction) continue;
        // The whole transaction is gone: what was done in it is lost, what did not run yet gets another one.
        const lost = error instanceof StoreError ? error : storeUnavailable("the transaction was rolled back", error);
        for (const earlier of done) earlier.queued.reject(lost);
        this.#queue.unshift(...batch.slice(index + 1));
        return;
      }
    }
    if (!(await this.#number(done))) return;
    this.#connection.control("commit");
    if (done.length === 0) return;
    this.counters.commits += 1;
    this.counters.units += done.length;
    for (const { queued, result } of done) queued.resolve(result);
    publish(done, this.#onRunEvents, this.#log);
  }

  /** Numbers the events of all units at once. False when one of them cannot be stored: then the units are tried again, each alone. */
  async #number(done: Done[]): Promise<boolean> {
    const drafts = done.flatMap((unit) => unit.drafts);
    if (drafts.length === 0) return true;
    try {
      const events = await appendRunEvents(this.#connection, drafts);
      const [first] = done;
      if (first) first.events = events;
      return true;
    } catch (error) {
      this.#rollBack();
      if (done.length === 1) done[0]?.queued.reject(error);
      else this.#queue.unshift(...done.map(({ queued }) => ({ ...queued, alone: true })));
      return false;
    }
  }

  async #perform(queued: Queued): Promise<Done> {
    const unit = new Unit(this.#connection);
    this.#connection.control("savepoint unit");
    try {
      const result = await unit.perform(queued.body);
      this.#connection.control("release unit");
      return { queued, result, drafts: unit.events, events: [], callbacks: unit.callbacks };
    } catch (error) {
      this.#rollBackUnit();
      throw error;
    }
  }

  #rollBackUnit(): void {
    // SQLite has given the transaction up by itself when the disk is full.
    if (!this.#connection.inTransaction) return;
    try {
      this.#connection.control("rollback to unit");
      this.#connection.control("release unit");
    } catch (error) {
      this.#log.error({ err: error }, "a unit could not be rolled back alone");
      this.#rollBack();
    }
  }

  #rollBack(): void {
    if (!this.#connection.inTransaction) return;
    try {
      this.#connection.control("rollback");
    } catch (error) {
      this.#log.error({ err: error }, "a transaction could not be rolled back");
    }
  }
}
