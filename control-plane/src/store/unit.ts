import type { RunEventType } from "@shipfox/shared/api/events";
import type { Compilable } from "kysely";
import { OutsideValueNeeded, UnitError } from "./errors.ts";
import { auditEventRow, INSERT_AUDIT_EVENT } from "./audit-events.ts";
import { keepKey } from "./idempotency-keys.ts";
import { checkValues } from "./sql-values.ts";
import type { AuditActor, AuditEntry, RunEventDraft, SqlValue, WriteTx } from "./store.ts";

/** What one connection can do: the part in which the dialects differ. */
export interface Statements {
  all<Row>(sql: string, params: readonly SqlValue[]): Promise<Row[]>;
  run(sql: string, params: readonly SqlValue[]): Promise<number>;
}

const NO_VALUES: ReadonlyMap<string, unknown> = new Map();

/**
 * One run of one unit: hands it its `tx`, watches that it awaits nothing else, and ends it.
 *
 * The watch rests on the order of Node's queues: a `nextTick` set from within a microtask fires when no microtask is
 * left. A unit that is then neither finished nor in a statement waits for something that is not the database.
 */
export class Unit implements WriteTx {
  readonly events: RunEventDraft[] = [];
  readonly callbacks: (() => void)[] = [];
  /** What was computed for this unit on earlier tries, by key. */
  outsideValues: ReadonlyMap<string, unknown> = NO_VALUES;
  readonly #statements: Statements;
  #ended = false;
  #running = 0;
  #seenRunning = false;
  #failed: { error: unknown } | undefined;
  #refuse: ((error: UnitError) => void) | undefined;

  constructor(statements: Statements) {
    this.#statements = statements;
  }

  /** The error of the statement that ended this unit, also when its code caught that error. */
  get statementError(): unknown {
    return this.#failed?.error;
  }

  /** Settles once the unit may be committed, or must be rolled back. Called once. */
  async perform<T>(body: (tx: WriteTx) => Promise<T>): Promise<T> {
    await Promise.resolve(); // The watch works only from within a microtask.
    try {
      const result = await new Promise<T>((resolve, reject) => {
        this.#refuse = reject;
        body(this).then(resolve, reject);
        this.#watch();
      });
      if (this.#failed) throw this.#failed.error;
      if (this.#running > 0)
        throw new UnitError("A unit of the store ended before its last statement: await them all.");
      return result;
    } finally {
      this.#ended = true;
    }
  }

  all<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#step(params, () => this.#statements.all<Row>(sql, params));
  }

  async get<Row>(sql: string, params: readonly SqlValue[] = []): Promise<Row | undefined> {
    return (await this.all<Row>(sql, params))[0];
  }

  run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    return this.#step(params, () => this.#statements.run(sql, params));
  }

  async rows<Row>(query: Compilable<Row>): Promise<Row[]> {
    const { sql, parameters } = query.compile();
    checkValues(parameters);
    return this.all<Row>(sql, parameters);
  }

  async row<Row>(query: Compilable<Row>): Promise<Row | undefined> {
    return (await this.rows(query))[0];
  }

  async exec(query: Compilable<unknown>): Promise<number> {
    const { sql, parameters } = query.compile();
    checkValues(parameters);
    return this.run(sql, parameters);
  }

  record<Type extends RunEventType>(event: RunEventDraft<Type>): void {
    this.#assertOpen();
    this.events.push(event);
  }

  async audit(actor: AuditActor, entry: AuditEntry): Promise<void> {
    await this.run(INSERT_AUDIT_EVENT, auditEventRow(actor, entry));
    if (actor.call) await keepKey(this, actor.call, entry, actor.origin.at);
  }

  afterCommit(callback: () => void): void {
    this.#assertOpen();
    this.callbacks.push(callback);
  }

  outside<T>(key: string, compute: () => Promise<T>): T {
    this.#assertOpen();
    if (this.outsideValues.has(key)) return this.outsideValues.get(key) as T;
    const error = new OutsideValueNeeded(key, compute);
    this.#failed = { error };
    throw error;
  }

  async #step<T>(params: readonly SqlValue[], execute: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    checkValues(params);
    this.#running += 1;
    try {
      return await execute();
    } catch (error) {
      this.#failed ??= { error };
      throw error;
    } finally {
      this.#running -= 1;
      if (this.#running === 0 && this.#seenRunning) this.#watch();
    }
  }

  #assertOpen(): void {
    if (this.#ended) throw new UnitError("A tx of the store was used after its unit had ended.");
    if (this.#failed)
      throw new UnitError("A statement of this unit failed; it can only end now.", { cause: this.#failed.error });
  }

  #watch(): void {
    this.#seenRunning = false;
    process.nextTick(() => {
      this.#seenRunning = this.#running > 0;
      if (this.#ended || this.#seenRunning) return;
      this.#refuse?.(
        new UnitError("A unit of the store waited for something other than its tx: do that before the unit."),
      );
    });
  }
}
