import { now } from "./clock.ts";
import type { ColumnTypes, DialectSql } from "./dialect.ts";
import { StoreRefusal } from "./errors.ts";
import type { SqlValue } from "./store.ts";

/**
 * One step of the schema, forward only. A change goes in two releases: the first adds, the next removes, so that the
 * binary before it keeps working on the new schema.
 */
export interface Migration {
  /** Each higher than the one before; never changed once released. */
  version: number;
  /** A few words for the log. */
  name: string;
  /** Highest migration known to the oldest binary that still works on this schema. Itself when left out. */
  oldestBinary?: number;
  /** One statement per entry. No deferred constraints: they would fail at the commit, together with other units. */
  up(types: ColumnTypes): string[];
}

/** The one connection that nobody else writes through while migrations run. */
export interface MigrationConnection {
  readonly sql: DialectSql;
  query<Row>(text: string, params?: readonly SqlValue[]): Promise<Row[]>;
  /** Keeps a copy of the database as it is, before the first change to one that holds data. */
  keepCopy(version: number): Promise<void>;
}

interface SchemaRow {
  version: number;
  oldest_binary: number;
}

/**
 * Brings the schema up to the last of `migrations`, each in its own transaction, and returns the version found before.
 * Throws `StoreRefusal` when a newer binary has changed the schema beyond what this one understands.
 */
export async function migrate(connection: MigrationConnection, migrations: readonly Migration[]): Promise<number> {
  const { sql } = connection;
  await connection.query(
    `create table if not exists schema_info (version ${sql.bigint} primary key, oldest_binary ${sql.bigint} not null, ` +
      `applied_at ${sql.bigint} not null)`,
  );
  const [current] = await connection.query<SchemaRow>(
    "select version, oldest_binary from schema_info order by version desc limit 1",
  );
  const found = current?.version ?? 0;
  const known = migrations.at(-1)?.version ?? 0;
  if (current && known < current.oldest_binary) {
    throw new StoreRefusal(
      `The database has schema version ${found} and needs a control plane that knows at least version ` +
        `${current.oldest_binary}; this one knows ${known}. Install the newer release, or restore the copy made before the upgrade.`,
    );
  }
  const missing = migrations.filter((migration) => migration.version > found);
  if (missing.length > 0 && found > 0) await connection.keepCopy(found);
  for (const migration of missing) await apply(connection, migration);
  return found;
}

async function apply(connection: MigrationConnection, migration: Migration): Promise<void> {
  await connection.query("begin");
  try {
    for (const statement of migration.up(connection.sql)) await connection.query(statement);
    await connection.query("insert into schema_info (version, oldest_binary, applied_at) values (?, ?, ?)", [
      migration.version,
      migration.oldestBinary ?? migration.version,
      now(),
    ]);
    await connection.query("commit");
  } catch (error) {
    // The first error counts: SQLite may have rolled back by itself, then this one fails.
    await connection.query("rollback").catch(() => undefined);
    const reason = error instanceof Error ? error.message : String(error);
    throw new StoreRefusal(
      `Migration ${migration.version} (${migration.name}) failed, the schema is unchanged since the one before: ${reason}`,
      { cause: error },
    );
  }
}
