import type { Logger } from "@shipfox/shared/logger";
import { now } from "./clock.ts";
import { sqliteSql } from "./dialect.ts";
import { storeUnavailable } from "./errors.ts";
import { migrate, type Migration } from "./migrate.ts";
import { writeWithOutsideValues } from "./outside.ts";
import { SlowReads } from "./slow-reads.ts";
import { checkValues } from "./sql-values.ts";
import { SqliteConnection } from "./sqlite-connection.ts";
import { databasePath, keepCopy, lockDataDir } from "./sqlite-files.ts";
import { SqliteReader } from "./sqlite-reader.ts";
import { SqliteWriter } from "./sqlite-writer.ts";
import type { RunEventListener, SqlValue, Store, Tx, WriteTx } from "./store.ts";

export interface SqliteOptions {
  dataDir: string;
  migrations: readonly Migration[];
  onRunEvents: RunEventListener;
  log: Logger;
}

/** Opens the database file of a data folder, which it keeps for this process alone. */
export async function openSqlite(options: SqliteOptions): Promise<SqliteStore> {
  const unlock = lockDataDir(options.dataDir);
  try {
    const path = databasePath(options.dataDir);
    const connection = new SqliteConnection(path, "read-write");
    try {
      await migrateFile(connection, options);
      return new SqliteStore(connection, new SqliteConnection(path, "read-only"), path, unlock, options);
    } catch (error) {
      connection.close();
      throw error;
    }
  } catch (error) {
    unlock();
    throw error;
  }
}

/** A migration may rebuild a table that others refer to, so their references are checked before each commit instead. */
async function migrateFile(connection: SqliteConnection, { dataDir, migrations }: SqliteOptions): Promise<void> {
  connection.pragma("foreign_keys = off");
  await migrate(
    {
      sql: sqliteSql,
      query: async (text, params = []) => {
        if (text === "commit") assertReferences(connection);
        return connection.allNow(text, params);
      },
      keepCopy: async (version) => keepCopy(connection, dataDir, version, now()),
    },
    migrations,
  );
  connection.pragma("foreign_keys = on");
}

function assertReferences(connection: SqliteConnection): void {
  const broken = connection.pragma("foreign_key_check") as { table: string; parent: string }[];
  if (broken[0]) throw new Error(`rows of ${broken[0].table} refer to missing rows of ${broken[0].parent}`);
}

/** `Store` on one SQLite file. */
export class SqliteStore implements Store {
  readonly dialect = "sqlite";
  readonly sql = sqliteSql;
  readonly #connections: SqliteConnection[];
  readonly #writer: SqliteWriter;
  readonly #reader: SqliteReader;
  readonly #slowReads: SlowReads;
  readonly #unlock: () => void;
  #closing: Promise<void> | undefined;

  constructor(
    writing: SqliteConnection,
    reading: SqliteConnection,
    path: string,
    unlock: () => void,
    { onRunEvents, log }: Pick<SqliteOptions, "onRunEvents" | "log">,
  ) {
    this.#connections = [reading, writing];
    this.#writer = new SqliteWriter(writing, onRunEvents, log);
    this.#reader = new SqliteReader(reading, () => this.#writer.counters.commits);
    this.#slowReads = new SlowReads(path);
    this.#unlock = unlock;
  }

  /** Commits and committed units since the start. */
  get counters(): Readonly<SqliteWriter["counters"]> {
    return this.#writer.counters;
  }

  get version(): number {
    return this.#writer.counters.commits;
  }

  write<T>(unit: (tx: WriteTx) => Promise<T>): Promise<T> {
    return writeWithOutsideValues((body) => this.#writer.write(body), unit);
  }

  read<T>(query: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.#closing) return Promise.reject(storeUnavailable("it is closing"));
    return this.#reader.read(query);
  }

  async readSlow<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    checkValues(params);
    return this.#slowReads.run<Row>(sql, params);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([this.#writer.close(), this.#reader.close(), this.#slowReads.close()]);
    for (const connection of this.#connections) connection.close();
    this.#unlock();
  }
}
