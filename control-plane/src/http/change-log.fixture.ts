import type { Store } from "../store/store.ts";

const LOG_TABLE = "fuzz_changes";
/** Written beside a call, or by the server's own loops whenever it is their time. */
const NOT_OF_THE_CALL = new Set([
  "audit_events",
  "idempotency_keys",
  "mail_queue",
  "runner_sessions",
  "webhooks",
  "webhook_deliveries",
  "definition_syncs",
  "label_sets",
  "log_streams",
]);

/** Notes every row that changes, by triggers, so that a call that should change nothing can be shown to. */
export class ChangeLog {
  readonly #store: Store;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** For SQLite. */
  static async start(store: Store): Promise<ChangeLog> {
    const list = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'";
    const tables = await store.read((tx) => tx.all<{ name: string }>(list));
    await store.write(async (tx) => {
      await tx.run(`create table ${LOG_TABLE} (id integer primary key, changed text not null)`);
      for (const { name } of tables) {
        for (const event of ["insert", "update", "delete"]) {
          await tx.run(
            `create trigger ${LOG_TABLE}_${name}_${event} after ${event} on ${name} begin insert into ${LOG_TABLE} (changed) values ('${name}'); end`,
          );
        }
      }
    });
    return new ChangeLog(store);
  }

  async mark(): Promise<number> {
    const row = await this.#store.read((tx) =>
      tx.get<{ last: number | null }>(`select max(id) as last from ${LOG_TABLE}`),
    );
    return row?.last ?? 0;
  }

  /** The tables that a call changed since then, beside those that are expected to. */
  async since(mark: number, expected: readonly string[] = []): Promise<string[]> {
    const sql = `select distinct changed from ${LOG_TABLE} where id > ?`;
    const rows = await this.#store.read((tx) => tx.all<{ changed: string }>(sql, [mark]));
    const changed = rows.map((row) => row.changed);
    return changed.filter((table) => !NOT_OF_THE_CALL.has(table) && !expected.includes(table));
  }
}
