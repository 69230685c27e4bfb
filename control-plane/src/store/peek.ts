import { existsSync } from "node:fs";
import { numberPlaceholders } from "./postgres-text.ts";
import { SqliteCopy } from "./sqlite-copy.ts";
import { databasePath } from "./sqlite-files.ts";

const CONNECT_LIMIT_MS = 5_000;

/** Where a database is, as the settings say. */
export interface DatabasePlace {
  readonly dataDir: string;
  readonly databaseUrl: string | undefined;
}

/** Single statements that read, each at its own moment. */
export interface Peeking {
  all<Row>(sql: string, params?: readonly string[]): Promise<Row[]>;
}

/**
 * Reads a database without changing anything, also while a server has it open, and without asking whether this release knows
 * its schema. Null when there is no database; none is made.
 */
export async function peek<T>(place: DatabasePlace, work: (database: Peeking) => Promise<T>): Promise<T | null> {
  const { dataDir, databaseUrl } = place;
  if (databaseUrl !== undefined) return peekPostgres(databaseUrl, work);
  const path = databasePath(dataDir);
  if (!existsSync(path)) return null;
  using database = new SqliteCopy(path, "read-only");
  return await work({ all: async (sql, params = []) => database.all(sql, params) });
}

async function peekPostgres<T>(databaseUrl: string, work: (database: Peeking) => Promise<T>): Promise<T | null> {
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
    return await work({
      all: async <Row>(sql: string, params: readonly string[] = []) =>
        (await client.query(numberPlaceholders(sql), [...params])).rows as Row[],
    });
  } finally {
    await client.end().catch(() => {});
  }
}
