import { migrations } from "./migrations.ts";
import type { Migration } from "./migrate.ts";
import { type DatabasePlace, peek } from "./peek.ts";

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
export function readSchema(place: DatabasePlace): Promise<SchemaState | null> {
  return peek(place, async (database) => stateOf((await database.all<SchemaRow>(SCHEMA))[0]));
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
