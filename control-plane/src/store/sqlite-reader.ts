import type { SqliteConnection } from "./sqlite-connection.ts";
import type { Tx } from "./store.ts";
import { Unit } from "./unit.ts";

/**
 * Short reads on a read-only connection of their own, one after another. A read never waits for the writer, and it sees every
 * unit that was committed when it begins.
 *
 * Taking a snapshot and giving it back costs as much as several statements, so the reads of one turn of the event loop share
 * one, as long as nothing is committed meanwhile.
 */
export class SqliteReader {
  readonly #connection: SqliteConnection;
  readonly #commits: () => number;
  #last: Promise<unknown> = Promise.resolve();
  /** How many commits the open snapshot may have seen; null without one. */
  #snapshotOf: number | null = null;
  #leaving: NodeJS.Immediate | undefined;

  /** `commits` tells how many there were so far. */
  constructor(connection: SqliteConnection, commits: () => number) {
    this.#connection = connection;
    this.#commits = commits;
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
    this.#leave();
  }

  async #perform<T>(query: (tx: Tx) => Promise<T>): Promise<T> {
    this.#enter();
    try {
      return await new Unit(this.#connection).perform(query);
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  #enter(): void {
    const commits = this.#commits();
    if (this.#snapshotOf === commits && this.#connection.inTransaction) return;
    this.#leave();
    this.#connection.control("begin");
    this.#snapshotOf = commits;
    this.#leaving = setImmediate(() => this.#leave());
  }

  #leave(): void {
    clearImmediate(this.#leaving);
    this.#snapshotOf = null;
    if (this.#connection.inTransaction) this.#connection.control("rollback");
  }
}
