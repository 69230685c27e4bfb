import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@shipfox/shared/logger";
import { CommitOrder } from "./commit-order.ts";
import { codeOf, type PostgresConnection } from "./postgres-connection.ts";
import type { PostgresPool } from "./postgres-pool.ts";
import { type Committed, publish } from "./publish.ts";
import { appendRunEvents } from "./run-events.ts";
import type { RunEventListener, WriteTx } from "./store.ts";
import { Unit } from "./unit.ts";

/** Tries after the first one, when the server chose this unit as the victim of a conflict. */
const MAX_REPEATS = 3;

/** Longest pause before the first repeat; doubles each time, with full jitter. */
const FIRST_PAUSE_MS = 10;

const SERIALIZATION_FAILURE = "40001";
const DEADLOCK = "40P01";

const NOTHING: Committed = { events: [], callbacks: [] };

/** Units on PostgreSQL: a transaction each, side by side. */
export class PostgresWriter {
  readonly #pool: PostgresPool;
  readonly #onRunEvents: RunEventListener;
  readonly #onLost: (reason: string) => void;
  readonly #log: Logger;
  readonly #order = new CommitOrder();

  constructor(pool: PostgresPool, onRunEvents: RunEventListener, onLost: (reason: string) => void, log: Logger) {
    this.#pool = pool;
    this.#onRunEvents = onRunEvents;
    this.#onLost = onLost;
    this.#log = log;
  }

  async write<T>(body: (tx: WriteTx) => Promise<T>): Promise<T> {
    for (let repeats = 0; ; repeats += 1) {
      let unit: Unit | undefined;
      try {
        return await this.#pool.use((connection) => {
          unit = new Unit(connection);
          return this.#perform(connection, unit, body);
        });
      } catch (error) {
        const conflict = isConflict(error) || isConflict(unit?.statementError);
        if (!conflict || repeats === MAX_REPEATS) throw error;
        await sleep(FIRST_PAUSE_MS * 2 ** repeats * Math.random());
      }
    }
  }

  async #perform<T>(connection: PostgresConnection, unit: Unit, body: (tx: WriteTx) => Promise<T>): Promise<T> {
    await connection.control("begin isolation level read committed");
    try {
      const result = await unit.perform(body);
      const events = await appendRunEvents(connection, unit.events);
      await this.#commit(connection, { events, callbacks: unit.callbacks });
      return result;
    } catch (error) {
      await connection.rollBack();
      throw error;
    }
  }

  async #commit(connection: PostgresConnection, committed: Committed): Promise<void> {
    const place = this.#order.enter(committed.events);
    let outcome = NOTHING;
    try {
      await connection.control("commit");
      outcome = committed;
    } catch (error) {
      // It may have been stored, and what is kept in memory would then never hear of it: only a new start is sure.
      if (connection.broken) this.#onLost("a COMMIT was not answered, so its outcome is not known");
      throw error;
    } finally {
      this.#order.leave(place, () => publish([outcome], this.#onRunEvents, this.#log));
    }
  }
}

function isConflict(error: unknown): boolean {
  const code = error instanceof Error ? codeOf(error.cause) : undefined;
  return code === SERIALIZATION_FAILURE || code === DEADLOCK;
}
