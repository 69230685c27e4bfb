import type { SqliteConnection } from "./sqlite-connection.ts";
import type { Tx } from "./store.ts";
import { Unit } from "./unit.ts";

/**
 * Short reads on a read-only connection of their own, one after another, each on one snapshot. A read never waits for
 * the writer, and it sees every unit that was committed when it begins.
 */
export class SqliteReader {
  readonly #connection: SqliteConnection;
  #last: Promise<unknown> = Promise.resolve();

  constructor(connection: SqliteConnection) {
    this.#connection = connection;
  }

  /** No queue builds up: reads wait for nothing, so all of one turn of the event loop are done at its end. */
  read<T>(query: (tx: Tx) => Promise<T>): Promise<T> {
    const result = this.#last.then(() => this.#perform(query));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Settles once the reads before it are done. */
  async close(): Promise<void> {
    await this.#last;
  }

  async #perform<T>(query: (tx: Tx) => Promise<T>): Promise<T> {
    this.#connection.control("begin");
    try {
      return await new Unit(this.#connection).perform(query);
    } finally {
      if (this.#connection.inTransaction) this.#connection.control("rollback");
    }
  }
}
