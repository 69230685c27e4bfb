import type { Logger } from "@shipfox/shared/logger";
import type { Migration } from "./migrate.ts";
import { migrations } from "./migrations.ts";
import { openSqlite } from "./sqlite.ts";
import type { RunEventListener, Store } from "./store.ts";

export interface StoreOptions {
  /** `postgres://…`; SQLite in `dataDir` when undefined. */
  databaseUrl?: string | undefined;
  dataDir: string;
  /** Told of committed run events, in commit order per workspace. */
  onRunEvents: RunEventListener;
  /** This process no longer owns the database (PostgreSQL only) and must stop at once. Called at most once. */
  onLost: (reason: string) => void;
  log: Logger;
  /** The schema; another one only in tests. */
  migrations?: readonly Migration[];
}

/**
 * Opens the database, takes it for this process alone and brings its schema up to date. Throws `StoreRefusal` with
 * words for the operator when another process has it, when it is newer than this binary, or when it cannot be reached.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const withSchema = { ...options, migrations: options.migrations ?? migrations };
  const { databaseUrl } = options;
  if (databaseUrl === undefined) return openSqlite(withSchema);
  // Only those who use PostgreSQL load its driver.
  const { openPostgres } = await import("./postgres.ts");
  return openPostgres({ ...withSchema, databaseUrl });
}
