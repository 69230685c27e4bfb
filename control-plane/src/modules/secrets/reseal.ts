import { setImmediate } from "node:timers/promises";
import type { Logger } from "@shipfox/shared/logger";
import type { Store, Tx } from "../../store/store.ts";
import { type Envelope, EnvelopeError } from "./envelope.ts";
import type { KeyRing } from "./key-ring.ts";
import type { SealedColumn } from "./sealed-columns.ts";

/** Rows of one transaction. */
const BATCH = 100;
/** A change that was sealed with the former key just before it was replaced is stored by then. */
const SETTLE_MS = 10 * 60_000;

export interface ResealDeps {
  readonly store: Store;
  readonly log: Logger;
  readonly ring: KeyRing;
  readonly envelope: Envelope;
  readonly columns: readonly SealedColumn[];
  /** After this time no token is good any more that a replaced key has signed. */
  readonly tokenLifetimeMs: number;
}

/**
 * Seals with the current root key what older keys have sealed, in batches beside the work of the server, and forgets the
 * keys that nothing needs any more. What it does is a conditional change of one row: it may be killed at any moment, and
 * whoever writes a row meanwhile wins.
 */
export class Reseal {
  readonly #deps: ResealDeps;

  constructor(deps: ResealDeps) {
    this.#deps = deps;
  }

  /** A task of the due loop; null when there is one key only. */
  async run(now: number): Promise<number | null> {
    const { ring, columns } = this.#deps;
    if (ring.all.length === 1) return null;
    for (const column of columns) await this.#column(column);
    if (!ring.isConfigured) await this.#forgetUnused(now);
    return ring.all.length === 1 ? null : now + SETTLE_MS;
  }

  /** How many sealed texts each key opens, by its id; those of unknown keys too. */
  async counts(): Promise<Map<string, number>> {
    const { store, columns } = this.#deps;
    const counts = new Map<string, number>();
    for (const { table, column } of columns) {
      // `v1.` and eight characters: the form of the envelope.
      const sql = `select substr(${column}, 4, 8) as key_id, count(*) as count from ${table} where ${column} is not null
        group by substr(${column}, 4, 8)`;
      for (const { key_id, count } of await store.readSlow<{ key_id: string; count: number }>(sql)) {
        counts.set(key_id, (counts.get(key_id) ?? 0) + count);
      }
    }
    return counts;
  }

  async #column(column: SealedColumn): Promise<void> {
    const { store, log } = this.#deps;
    let after: string[] | null = null;
    let refused = 0;
    for (;;) {
      const rows: SealedRow[] = await store.read((tx) => this.#batch(tx, column, after));
      const changes = rows.flatMap((row) => {
        const sealed = this.#seal(column, row);
        if (sealed === null) refused += 1;
        return sealed === null ? [] : [{ row, sealed }];
      });
      if (changes.length > 0) {
        const sql = `update ${column.table} set ${column.column} = ? where ${conditions(column)} and ${column.column} = ?`;
        await store.write(async (tx) => {
          for (const { row, sealed } of changes) await tx.run(sql, [sealed, ...keyOf(column, row), textOf(row)]);
        });
      }
      const last = rows.at(-1);
      if (rows.length < BATCH || !last) break;
      after = keyOf(column, last);
      await setImmediate();
    }
    if (refused > 0)
      log.warn({ table: column.table, rows: refused }, "sealed texts cannot be opened with any root key");
  }

  #batch(tx: Tx, { table, key, column, beside = [] }: SealedColumn, after: string[] | null): Promise<SealedRow[]> {
    const names = [...new Set([...key, ...beside])].join(", ");
    const later = after === null ? "" : `and (${key.join(", ")}) > (${key.map(() => "?").join(", ")})`;
    const sql = `select ${names}, ${column} as sealed_text from ${table}
      where ${column} is not null and substr(${column}, 4, 8) <> ? ${later} order by ${key.join(", ")} limit ${BATCH}`;
    return tx.all<SealedRow>(sql, [this.#deps.envelope.currentKeyId, ...(after ?? [])]);
  }

  #seal(column: SealedColumn, row: SealedRow): string | null {
    const { envelope } = this.#deps;
    const context = column.context(row);
    try {
      return envelope.seal(envelope.open(textOf(row), context), context);
    } catch (error) {
      if (error instanceof EnvelopeError) return null;
      throw error;
    }
  }

  async #forgetUnused(now: number): Promise<void> {
    const { ring, tokenLifetimeMs, log } = this.#deps;
    const counts = await this.counts();
    const unused = ring.facts.filter(({ keyId, replacedAt, tokens }) => {
      if (replacedAt === null || (counts.get(keyId) ?? 0) > 0) return false;
      return now - replacedAt >= (tokens ? Math.max(tokenLifetimeMs, SETTLE_MS) : SETTLE_MS);
    });
    if (unused.length === 0) return;
    ring.forget(new Set(unused.map(({ keyId }) => keyId)));
    log.info({ keys: unused.map(({ keyId }) => keyId) }, "root keys that nothing needs any more were forgotten");
  }
}

type SealedRow = Readonly<Record<string, string>>;

function textOf(row: SealedRow): string {
  return row["sealed_text"] as string;
}

function keyOf({ key }: SealedColumn, row: SealedRow): string[] {
  return key.map((name) => row[name] as string);
}

function conditions({ key }: SealedColumn): string {
  return key.map((name) => `${name} = ?`).join(" and ");
}
