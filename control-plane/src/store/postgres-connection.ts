import pg from "pg";
import { ConstraintError, storageFull, StoreError, storeUnavailable } from "./errors.ts";
import { Lru } from "./lru.ts";
import { numberPlaceholders } from "./postgres-text.ts";
import type { SqlValue } from "./store.ts";
import type { Statements } from "./unit.ts";

/** Prepared statements kept per connection. */
const MAX_PREPARED = 300;

const BOOLEAN = 16;
const BYTEA = 17;
const INT8 = 20;
const INT2 = 21;
const INT4 = 23;
const OID = 26;
const FLOAT4 = 700;
const FLOAT8 = 701;
const NUMERIC = 1700;

const NUMBERS = new Set([INT2, INT4, INT8, OID, FLOAT4, FLOAT8, NUMERIC]);

/** Rows as SQLite returns them: numbers for integers and counts, 0 and 1 for conditions, bytes, and text for the rest. */
export const rowTypes: pg.CustomTypesConfig = {
  // The signature of pg promises a parser per type and format; only the text format is ever asked for here.
  getTypeParser: ((oid: number) => {
    if (NUMBERS.has(oid)) return toNumber;
    if (oid === BOOLEAN) return (text: string) => (text === "t" ? 1 : 0);
    if (oid === BYTEA) return (text: string) => Buffer.from(text.slice("\\x".length), "hex");
    return (text: string) => text;
  }) as pg.CustomTypesConfig["getTypeParser"],
};

function toNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new RangeError(`PostgreSQL returned ${text}, which is too large for a number.`);
  }
  return value;
}

/** Statements on one connection, one after another, each text prepared once. */
export class PostgresConnection implements Statements {
  readonly #client: pg.ClientBase;
  readonly #prepared = new Lru<string, string>(MAX_PREPARED);
  #named = 0;
  #last: Promise<unknown> = Promise.resolve();
  #broken = false;

  constructor(client: pg.ClientBase) {
    this.#client = client;
  }

  /** True once a statement had no answer: nothing more can be asked here. */
  get broken(): boolean {
    return this.#broken;
  }

  async all<Row>(sql: string, params: readonly SqlValue[]): Promise<Row[]> {
    return (await this.#inTurn(sql, params)).rows as Row[];
  }

  async run(sql: string, params: readonly SqlValue[]): Promise<number> {
    return (await this.#inTurn(sql, params)).rowCount ?? 0;
  }

  /** A statement without parameters and rows, not prepared: `begin`, `commit`. */
  async control(sql: string): Promise<void> {
    await this.#last;
    try {
      await this.#client.query(sql);
    } catch (error) {
      throw this.#noted(error);
    }
  }

  /** Ends the transaction without keeping it. Never fails: a connection that cannot do this is given up. */
  async rollBack(): Promise<void> {
    if (this.#broken) return;
    try {
      await this.control("rollback");
    } catch {
      this.#broken = true;
    }
  }

  /** A unit may start several statements at once; the driver wants the next one only when it is idle. */
  #inTurn(sql: string, params: readonly SqlValue[]) {
    const result = this.#last.then(() => this.#execute(sql, params));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #execute(sql: string, params: readonly SqlValue[]) {
    try {
      const text = numberPlaceholders(sql);
      const name = await this.#nameOf(text);
      return await this.#client.query<Record<string, unknown>>({ name, text, values: [...params] });
    } catch (error) {
      throw this.#noted(error);
    }
  }

  #noted(error: unknown): unknown {
    if (!(error instanceof pg.DatabaseError) || ENDED_BY_SERVER.test(error.code ?? "")) this.#broken = true;
    return translate(error);
  }

  async #nameOf(text: string): Promise<string> {
    const known = this.#prepared.get(text);
    if (known) return known;
    const name = `s${++this.#named}`;
    const forgotten = this.#prepared.set(text, name);
    if (forgotten) await this.#forget(forgotten[1]);
    return name;
  }

  async #forget(name: string): Promise<void> {
    await this.#client.query(`deallocate ${name}`);
    // The driver keeps the text of every name for good and has no call that ends this.
    const { connection } = this.#client as unknown as { connection?: { parsedStatements?: Record<string, string> } };
    delete connection?.parsedStatements?.[name];
  }
}

const CONSTRAINTS: Record<string, ConstraintError["kind"]> = {
  "23505": "unique",
  "23503": "foreign-key",
  "23502": "not-null",
  "23514": "check",
};

/** The server closes the connection after these. */
const ENDED_BY_SERVER = /^(08|57P|25P03)/;

const DISK_FULL = "53100";

/** Lost and refused connections, lack of resources, time limits, shutdown, faults of the server's disk, conflicts. */
const UNAVAILABLE = /^(08|25006|25P03|40|53|55P03|57|58|ECONN|ENOTFOUND|EAI_|EPIPE|ETIMEDOUT|EHOST|ENETUNREACH)/;

/** What the driver says, without a code, when there is no connection to work with. */
const NO_CONNECTION = /timeout|connection terminated|not queryable|connection error/i;

export function translate(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof StoreError) return error;
  const code = codeOf(error);
  if (code === DISK_FULL) return storageFull(error);
  if (code === undefined ? NO_CONNECTION.test(error.message) : UNAVAILABLE.test(code)) {
    return storeUnavailable(error.message || (code ?? error.name), error);
  }
  const kind = CONSTRAINTS[code ?? ""];
  return kind ? new ConstraintError({ kind, ...namedIn(error) }, error) : error;
}

/** The SQLSTATE, or the code of the operating system; undefined when the driver gave none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** From the fields of the server's message; the columns of keys stand only in `Key (workspace_id, slug)=(…) …`. */
function namedIn(error: Error): Pick<ConstraintError, "table" | "columns"> {
  const { table, column, detail } = error as { table?: string; column?: string; detail?: string };
  const key = /^Key \(([^)]*)\)/.exec(detail ?? "")?.[1];
  return { table, columns: column ? [column] : (key?.split(", ") ?? []) };
}
