import type { Logger } from "@shipfox/shared/logger";
import pg from "pg";
import { postgresSql } from "./dialect.ts";
import { StoreRefusal } from "./errors.ts";
import { migrate, type Migration } from "./migrate.ts";
import { writeWithOutsideValues } from "./outside.ts";
import { PostgresConnection } from "./postgres-connection.ts";
import { takeOwnership, watchOwnership } from "./postgres-owner.ts";
import { connectionConfig, PostgresPool } from "./postgres-pool.ts";
import { PostgresWriter } from "./postgres-writer.ts";
import type { RunEventListener, SqlValue, Store, Tx, WriteTx } from "./store.ts";
import { Unit } from "./unit.ts";

export interface PostgresOptions {
  databaseUrl: string;
  migrations: readonly Migration[];
  onRunEvents: RunEventListener;
  onLost: (reason: string) => void;
  log: Logger;
}

/** Connects to the database and keeps it for this process alone, on a connection that does nothing else. */
export async function openPostgres(options: PostgresOptions): Promise<PostgresStore> {
  const owner = await connect(options.databaseUrl);
  try {
    await takeOwnership(owner);
    await migrateDatabase(owner, options.migrations);
  } catch (error) {
    await owner.end().catch(() => undefined);
    throw error;
  }
  const stopWatching = watchOwnership(owner, options.onLost);
  return new PostgresStore(options, async () => {
    stopWatching();
    await owner.end();
  });
}

async function connect(databaseUrl: string): Promise<pg.Client> {
  let client: pg.Client | undefined;
  try {
    client = new pg.Client(connectionConfig(databaseUrl));
    // A connection that breaks while it is idle says so by this event, which would end the process without a listener.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  } catch (error) {
    await client?.end().catch(() => undefined);
    throw new StoreRefusal(
      `The database of SHIPFOX_DATABASE_URL cannot be reached: ${reasonOf(error)}. Check the address, the credentials ` +
        "and that PostgreSQL is running.",
      { cause: error },
    );
  }
}

/** A host with several addresses fails with one error for each of them, and an empty message for all. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join(", ");
  return error instanceof Error ? error.message : String(error);
}

/** PostgreSQL keeps no copy: its operator has backups, and each migration is one transaction. */
async function migrateDatabase(client: pg.Client, migrations: readonly Migration[]): Promise<void> {
  const connection = new PostgresConnection(client);
  await migrate(
    {
      sql: postgresSql,
      query: (text, params = []) => connection.all(text, params),
      keepCopy: async () => undefined,
    },
    migrations,
  );
}

/** `Store` on a PostgreSQL database. */
export class PostgresStore implements Store {
  readonly dialect = "postgres";
  readonly version = null;
  readonly sql = postgresSql;
  readonly #pool: PostgresPool;
  readonly #writer: PostgresWriter;
  readonly #release: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor({ databaseUrl, onRunEvents, onLost, log }: PostgresOptions, release: () => Promise<void>) {
    this.#pool = new PostgresPool(databaseUrl, log);
    this.#writer = new PostgresWriter(this.#pool, onRunEvents, onLost, log);
    this.#release = release;
  }

  write<T>(unit: (tx: WriteTx) => Promise<T>): Promise<T> {
    return writeWithOutsideValues((body) => this.#writer.write(body), unit);
  }

  read<T>(query: (tx: Tx) => Promise<T>): Promise<T> {
    return this.#pool.use(async (connection) => {
      await connection.control("begin isolation level repeatable read read only");
      try {
        return await new Unit(connection).perform(query);
      } finally {
        await connection.rollBack();
      }
    });
  }

  readSlow<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#pool.use((connection) => new Unit(connection).perform((tx) => tx.all<Row>(sql, params)));
  }

  close(): Promise<void> {
    this.#closing ??= this.#pool.close().then(this.#release);
    return this.#closing;
  }
}
