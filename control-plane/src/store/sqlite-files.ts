import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { StoreRefusal } from "./errors.ts";
import type { SqliteConnection } from "./sqlite-connection.ts";

// Neither the database nor the lock file may ever be opened with `fs` in this process: closing any descriptor of a
// file drops all POSIX locks the process has on it, those of SQLite too.

const DATABASE_FILE = "shipfox.db";
const LOCK_FILE = "shipfox.lock";
const HOLDER_FILE = "shipfox.pid";

const COPY_PREFIX = "shipfox-before-migration-";
const COPIES_KEPT = 2;

export function databasePath(dataDir: string): string {
  return join(dataDir, DATABASE_FILE);
}

/**
 * Makes the data folder when it is missing and takes it for this process, or throws `StoreRefusal`. Returns what gives
 * it back. The lock is one of the kernel, taken through SQLite, so it ends with the process however that ends.
 */
export function lockDataDir(dataDir: string): () => void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StoreRefusal(`The data folder ${dataDir} cannot be made: ${messageOf(error)}`, { cause: error });
  }
  const holderPath = join(dataDir, HOLDER_FILE);
  let lock: Database.Database | undefined;
  try {
    lock = new Database(join(dataDir, LOCK_FILE), { timeout: 0 });
    lock.exec("begin exclusive");
    writeFileSync(holderPath, String(process.pid));
  } catch (error) {
    lock?.close();
    if (!(error instanceof Database.SqliteError) || error.code !== "SQLITE_BUSY") {
      throw new StoreRefusal(`The data folder ${dataDir} cannot be used: ${messageOf(error)}`, { cause: error });
    }
    throw new StoreRefusal(
      `The data folder ${dataDir} is in use by another control plane (process ${holder(holderPath)}). ` +
        "Stop that one first, or choose another folder with SHIPFOX_DATA_DIR.",
    );
  }
  return () => {
    rmSync(holderPath, { force: true });
    lock.close();
  };
}

function holder(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "unknown";
  }
}

/** Writes a copy of the database beside it and removes older ones. A copy that bears its final name is whole. */
export function keepCopy(connection: SqliteConnection, dataDir: string, version: number, takenAt: number): void {
  const stamp = new Date(takenAt).toISOString().replaceAll(/[:.]/g, "-");
  const path = join(dataDir, `${COPY_PREFIX}${stamp}-v${version}.db`);
  const partial = `${path}.partial`;
  try {
    for (const name of copies(dataDir)) if (name.endsWith(".partial")) rmSync(join(dataDir, name));
    connection.allNow("vacuum into ?", [partial]);
    const file = openSync(partial, "r+");
    fsyncSync(file);
    closeSync(file);
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw new StoreRefusal(
      `The database must be upgraded, but the copy that is made first could not be written: ${messageOf(error)} ` +
        `Free about twice the size of ${databasePath(dataDir)} on that disk and start again.`,
      { cause: error },
    );
  }
  for (const name of copies(dataDir).slice(0, -COPIES_KEPT)) rmSync(join(dataDir, name));
}

/** Oldest first: the names begin with the time. */
function copies(dataDir: string): string[] {
  return readdirSync(dataDir)
    .filter((name) => name.startsWith(COPY_PREFIX))
    .sort();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
