import Database from "better-sqlite3";
import { ConstraintError, storageFull, storeUnavailable } from "./errors.ts";
import { Lru } from "./lru.ts";
import type { SqlValue } from "./store.ts";
import type { Statements } from "./unit.ts";

/** Blocks the event loop, so short: only a foreign program, such as a backup, ever holds the write lock against us. */
const BUSY_TIMEOUT_MS = 100;

/** Prepared statements kept per connection; preparing is most of the cost of a small read. */
const MAX_PREPARED = 500;

/** The write-ahead log is cut back to this size after a checkpoint, when a burst or a long read made it grow. */
const WAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024;

/** One open SQLite database file. Its promises are settled when they are returned. */
export class SqliteConnection implements Statements {
  readonly #database: Database.Database;
  readonly #prepared = new Lru<string, Database.Statement>(MAX_PREPARED);

  constructor(path: string, access: "read-write" | "read-only") {
    const readonly = access === "read-only";
    this.#database = new Database(path, { readonly, fileMustExist: readonly, timeout: BUSY_TIMEOUT_MS });
    if (!readonly) {
      this.#database.pragma("journal_mode = wal");
      this.#database.pragma("synchronous = full");
      this.#database.pragma(`journal_size_limit = ${WAL_SIZE_LIMIT_BYTES}`);
      // Every page that a savepoint changes is first copied for its roll-back; on disk that is most of a unit's cost.
      this.#database.pragma("temp_store = memory");
    }
    this.#database.pragma("foreign_keys = on");
  }

  /** False also after SQLite gave a transaction up by itself, as it does when the disk is full. */
  get inTransaction(): boolean {
    return this.#database.inTransaction;
  }

  async all<Row>(sql: string, params: readonly SqlValue[]): Promise<Row[]> {
    return this.allNow<Row>(sql, params);
  }

  allNow<Row>(sql: string, params: readonly SqlValue[]): Row[] {
    try {
      const statement = this.#prepare(sql);
      if (statement.reader) return statement.all(...params) as Row[];
      statement.run(...params);
      return [];
    } catch (error) {
      throw translate(error);
    }
  }

  async run(sql: string, params: readonly SqlValue[]): Promise<number> {
    try {
      const statement = this.#prepare(sql);
      return statement.reader ? statement.all(...params).length : statement.run(...params).changes;
    } catch (error) {
      throw translate(error);
    }
  }

  /** A statement without parameters and rows: `begin`, `commit`, `savepoint`. */
  control(sql: string): void {
    try {
      this.#prepare(sql).run();
    } catch (error) {
      throw translate(error);
    }
  }

  pragma(text: string): unknown {
    return this.#database.pragma(text);
  }

  close(): void {
    this.#database.close();
  }

  #prepare(sql: string): Database.Statement {
    const known = this.#prepared.get(sql);
    if (known) return known;
    const statement = this.#database.prepare(plannedOnce(sql));
    this.#prepared.set(sql, statement);
    return statement;
  }
}

/**
 * This SQLite plans a statement anew whenever a parameter that it compares with a column is bound to another value, which
 * costs several times the statement itself. A unary plus changes nothing else and hides the parameter from the planner.
 */
function plannedOnce(sql: string): string {
  return sql.replaceAll(/'[^']*'|"[^"]*"|\?/g, (match) => (match === "?" ? "+?" : match));
}

const CONSTRAINTS: Record<string, ConstraintError["kind"]> = {
  SQLITE_CONSTRAINT_UNIQUE: "unique",
  SQLITE_CONSTRAINT_PRIMARYKEY: "unique",
  SQLITE_CONSTRAINT_ROWID: "unique",
  SQLITE_CONSTRAINT_FOREIGNKEY: "foreign-key",
  SQLITE_CONSTRAINT_NOTNULL: "not-null",
  SQLITE_CONSTRAINT_CHECK: "check",
};

/** Faults of the machine rather than of the statement. */
const UNAVAILABLE = /^SQLITE_(IOERR|BUSY|LOCKED|CANTOPEN|READONLY|CORRUPT|NOTADB|NOMEM|PROTOCOL)/;

function translate(error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  if (error.code === "SQLITE_FULL") return storageFull(error);
  if (UNAVAILABLE.test(error.code)) return storeUnavailable(`${error.code}: ${error.message}`, error);
  const kind = CONSTRAINTS[error.code];
  return kind ? new ConstraintError({ kind, ...namedIn(error.message) }, error) : error;
}

/** From `UNIQUE constraint failed: users.email, users.name`. */
function namedIn(message: string): Pick<ConstraintError, "table" | "columns"> {
  const names = [...message.matchAll(/(\w+)\.(\w+)/g)];
  return { table: names[0]?.[1], columns: names.flatMap((name) => name[2] ?? []) };
}
