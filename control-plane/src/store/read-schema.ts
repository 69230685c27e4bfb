import { existsSync } from "node:fs";
import { migrations } from "./migrations.ts";
import { SqliteCopy } from "./sqlite-copy.ts";
import { databasePath } from "./sqlite-files.ts";
import type { Migration } from "./migrate.ts";

const CONNECT_LIMIT_MS = 5_000;
const SCHEMA = "select version, oldest_binary from schema_info order by version desc limit 1";

interface SchemaRow {
  readonly version: number | string;
  readonly oldest_binary: number | string;
}

/** The schema of a database, beside what this release knows. */
export interface SchemaState {
  /** Of the last migration that was applied; 0 before the first. */
  readonly version: number;
  /** True when the database needs a newer release. */
  readonly isTooNew: boolean;
  /** What the next start applies. */
  readonly pending: readonly Migration[];
}

/** Reads it without changing anything, also while a server has the database open; null when there is none yet. */
export async function readSchema(place: {
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
}): Promise<SchemaState | null> {
  const { dataDir, databaseUrl } = place;
  if (databaseUrl !== undefined) return readPostgres(databaseUrl);
  const path = databasePath(dataDir);
  if (!existsSync(path)) return null;
  using database = new SqliteCopy(path, "read-only");
  return stateOf(database.all<SchemaRow>(SCHEMA)[0]);
}

async function readPostgres(databaseUrl: string): Promise<SchemaState | null> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    query_timeout: CONNECT_LIMIT_MS,
  });
  try {
    await client.connect();
    const { rows } = await client.query<{ is_there: boolean }>(
      "select to_regclass('schema_info') is not null as is_there",
    );
    if (rows[0]?.is_there !== true) return null;
    return stateOf((await client.query<SchemaRow>(SCHEMA)).rows[0]);
  } finally {
    await client.end().catch(() => {});
  }
}

function stateOf(row: SchemaRow | undefined): SchemaState {
  const version = Number(row?.version ?? 0);
  const known = migrations.at(-1)?.version ?? 0;
  return {
    version,
    isTooNew: Number(row?.oldest_binary ?? 0) > known,
    pending: migrations.filter((migration) => migration.version > version),
  };
}
