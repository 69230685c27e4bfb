import { closeSync, fsyncSync, openSync } from "node:fs";
import Database from "better-sqlite3";
import { databasePath } from "./sqlite-files.ts";

/**
 * A copy of a control plane's database as it is at one moment, also while the control plane runs; it goes on writing
 * meanwhile. `target` must not exist. Throws SqliteError.
 */
export function copySqlite(dataDir: string, target: string): void {
  const database = new Database(databasePath(dataDir), { readonly: true, fileMustExist: true });
  try {
    database.prepare("vacuum into ?").run(target);
  } finally {
    database.close();
  }
  const file = openSync(target, "r+");
  fsyncSync(file);
  closeSync(file);
}

/** A database file that no control plane has open. */
export class SqliteCopy implements Disposable {
  readonly #database: Database.Database;

  constructor(path: string, access: "read-write" | "read-only") {
    this.#database = new Database(path, { readonly: access === "read-only", fileMustExist: true });
  }

  all<Row>(sql: string, params: readonly string[] = []): Row[] {
    return this.#database.prepare<string[], Row>(sql).all(...params);
  }

  iterate<Row>(sql: string): IterableIterator<Row> {
    return this.#database.prepare<[], Row>(sql).iterate();
  }

  /** All changes of `work`, or none. */
  change(work: (run: (sql: string, params: readonly (string | number)[]) => void) => void): void {
    this.#database.transaction(() => work((sql, params) => void this.#database.prepare(sql).run(...params)))();
  }

  /** What is wrong with it; empty when it is sound. */
  faults(): string[] {
    const integrity = this.#database.pragma("integrity_check", { simple: true }) as string;
    if (integrity !== "ok") return [integrity];
    const broken = this.#database.pragma("foreign_key_check") as { table: string; parent: string }[];
    return [...new Set(broken.map(({ table, parent }) => `rows of ${table} refer to missing rows of ${parent}`))];
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
