import type { Logger } from "@shipfox/shared/logger";
import pg from "pg";
import { overloaded, storeUnavailable } from "./errors.ts";
import { PostgresConnection, rowTypes, translate } from "./postgres-connection.ts";
import { MAX_WAITING, SLOW_READ_TIMEOUT_MS } from "./store.ts";

const MAX_CONNECTIONS = 10;

/** Longest wait for a connection, a new one or one that others use. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Longest statement: the server ends it. */
const STATEMENT_TIMEOUT_MS = SLOW_READ_TIMEOUT_MS;

/** When a statement has no answer by then, the network is gone, for the server would have ended it. */
const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 5_000;

/** A transaction whose process froze gives its locks back by then. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000;

const IDLE_CONNECTION_TIMEOUT_MS = 60_000;
const KEEP_ALIVE_AFTER_MS = 10_000;

export function connectionConfig(databaseUrl: string): pg.ClientConfig {
  return {
    connectionString: databaseUrl,
    application_name: "shipfox-control-plane",
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_AFTER_MS,
    types: rowTypes,
  };
}

/** The connections on which units run. */
export class PostgresPool {
  readonly #pool: pg.Pool;
  readonly #connections = new WeakMap<pg.PoolClient, PostgresConnection>();
  #users = 0;
  #closed = false;

  constructor(databaseUrl: string, log: Logger) {
    this.#pool = new pg.Pool({
      ...connectionConfig(databaseUrl),
      max: MAX_CONNECTIONS,
      idleTimeoutMillis: IDLE_CONNECTION_TIMEOUT_MS,
    });
    this.#pool.on("error", (error) => log.warn({ err: error }, "an idle connection to PostgreSQL broke"));
    // Without a listener the error of a connection in use would end the process; its statement reports it already.
    this.#pool.on("connect", (client) => client.on("error", () => undefined));
  }

  /** Lends one connection to `work`, which leaves no transaction open. */
  async use<T>(work: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    if (this.#closed) throw storeUnavailable("it is closing");
    if (this.#users >= MAX_WAITING) throw overloaded(this.#users);
    this.#users += 1;
    try {
      const client = await this.#connect();
      const connection = this.#connectionOf(client);
      try {
        return await work(connection);
      } finally {
        client.release(connection.broken);
      }
    } finally {
      this.#users -= 1;
    }
  }

  /** Refuses new work and settles once the accepted work is done. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#pool.end();
  }

  async #connect(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw translate(error);
    }
  }

  #connectionOf(client: pg.PoolClient): PostgresConnection {
    const known = this.#connections.get(client);
    if (known) return known;
    const connection = new PostgresConnection(client);
    this.#connections.set(client, connection);
    return connection;
  }
}
