import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Files of the database in the data folder of a control plane on SQLite. */
export const DATABASE_FILES = ["shipfox.db", "shipfox.db-wal", "shipfox.db-shm"] as const;

/** What is wrong with the database of a control plane that does not run, also one that was killed; empty when it is sound. */
export async function faultsOfDatabase(dataDir: string): Promise<string[]> {
  // A copy, as opening it would repair what a crash left before the control plane has to.
  const folder = await mkdtemp(join(tmpdir(), "shipfox-e2e-check-"));
  try {
    for (const name of DATABASE_FILES) {
      await cp(join(dataDir, name), join(folder, name)).catch(() => {});
    }
    const database = new DatabaseSync(join(folder, DATABASE_FILES[0]));
    try {
      const integrity = database
        .prepare("pragma integrity_check")
        .all()
        .map((row) => String(row["integrity_check"]));
      const references = database
        .prepare("pragma foreign_key_check")
        .all()
        .map((row) => JSON.stringify(row));
      return [...integrity.filter((line) => line !== "ok"), ...references];
    } finally {
      database.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Holds the write lock of a database for a while, as a program beside the control plane could. */
export async function holdWriteLock(dataDir: string, work: () => Promise<void>): Promise<void> {
  const database = new DatabaseSync(join(dataDir, DATABASE_FILES[0]), { timeout: 5_000 });
  try {
    database.exec("begin immediate");
    await work();
    database.exec("rollback");
  } finally {
    database.close();
  }
}
