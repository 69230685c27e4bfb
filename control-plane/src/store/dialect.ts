/**
 * The few texts in which the two dialects differ. Module SQL takes them from here by name and uses no dialect function
 * of its own; everything else it writes is understood by both.
 *
 * Text comparison is by bytes on both: plain `text` on SQLite, `collate "C"` on PostgreSQL.
 */
export interface DialectSql extends ColumnTypes {
  readonly dialect: "sqlite" | "postgres";
  /** End of a `select` that locks the rows it found until the unit ends. SQLite has one writer, which is the lock. */
  readonly forUpdate: string;
  /** As `forUpdate`, but passes over rows that somebody else has locked. */
  readonly skipLocked: string;
  /** The larger one of two expressions, neither of them null. */
  greatest(a: string, b: string): string;
  /** The smaller one of two expressions, neither of them null. */
  least(a: string, b: string): string;
}

/** What migrations write for the types of columns. */
export interface ColumnTypes {
  /** Type of times in milliseconds, counts, numbers and booleans (0 or 1). */
  readonly bigint: string;
  /** Type of text, ids and JSON. */
  readonly text: string;
  /** Type of bytes. */
  readonly blob: string;
  /** Type and constraint of a primary key that the database counts up; its order is not the order of commits. */
  readonly identity: string;
  /** What makes the database refuse every change of a row that was written; rows may only be deleted. */
  readonly appendOnly: (table: string) => string[];
  /** End of a `create table` whose rows are small and found by their primary key: stored once, in its order. */
  readonly withoutRowid: string;
}

export const sqliteSql: DialectSql = {
  dialect: "sqlite",
  bigint: "integer",
  text: "text",
  blob: "blob",
  identity: "integer primary key autoincrement",
  withoutRowid: " without rowid",
  appendOnly: (table) => [
    `create trigger ${table}_append_only before update on ${table} begin select raise(abort, '${table} is append-only'); end`,
  ],
  forUpdate: "",
  skipLocked: "",
  greatest: (a, b) => `max(${a}, ${b})`,
  least: (a, b) => `min(${a}, ${b})`,
};

export const postgresSql: DialectSql = {
  dialect: "postgres",
  bigint: "bigint",
  text: 'text collate "C"',
  blob: "bytea",
  identity: "bigint generated always as identity primary key",
  withoutRowid: "",
  appendOnly: (table) => [
    `create function ${table}_append_only() returns trigger language plpgsql as $$ begin raise exception '${table} is append-only'; end $$`,
    `create trigger ${table}_append_only before update on ${table} for each row execute function ${table}_append_only()`,
  ],
  forUpdate: " for update",
  skipLocked: " for update skip locked",
  greatest: (a, b) => `greatest(${a}, ${b})`,
  least: (a, b) => `least(${a}, ${b})`,
};
