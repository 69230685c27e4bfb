import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from "kysely";
import type { Schema } from "./schema.ts";

/**
 * Builds ordinary queries, with types, for `tx.rows`, `tx.row` and `tx.exec`. It has no connection: executing a query
 * here instead of handing it to a `tx` does nothing. The text it writes is understood by both dialects.
 */
export const build = new Kysely<Schema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});
