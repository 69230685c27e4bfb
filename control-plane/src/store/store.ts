import type { RunEventPayloads, RunEventType } from "@shipfox/shared/api/events";
import type { Compilable } from "kysely";
import type { DialectSql } from "./dialect.ts";

/** What both databases take as a parameter. Booleans are 0 and 1, JSON is text, times are milliseconds. Texts hold no NUL. */
export type SqlValue = string | number | bigint | null | Uint8Array;

/**
 * The statements of one unit. Valid only until the unit ends; a later call is refused.
 *
 * SQL is written once for both dialects, with `?` placeholders; what differs comes from `Store.sql`. Statements are
 * prepared once per connection and text, so vary the parameters, not the text.
 *
 * A statement that fails ends its unit on both dialects: later statements are refused and nothing of the unit is kept,
 * even when the unit catches the error. Use `on conflict do nothing` where a conflict is an ordinary outcome. Broken
 * constraints arrive as `ConstraintError`, a full or unreachable database as `StoreError`.
 *
 * Rows carry numbers for every integer and count (PostgreSQL throws above 2^53), 0 and 1 for conditions, `Uint8Array`
 * for bytes.
 */
export interface Tx {
  all<Row>(sql: string, params?: readonly SqlValue[]): Promise<Row[]>;
  /** The first row, or undefined. */
  get<Row>(sql: string, params?: readonly SqlValue[]): Promise<Row | undefined>;
  /** The number of rows changed. */
  run(sql: string, params?: readonly SqlValue[]): Promise<number>;
  /** `all` for a query made with `build`. */
  rows<Row>(query: Compilable<Row>): Promise<Row[]>;
  /** `get` for a query made with `build`. */
  row<Row>(query: Compilable<Row>): Promise<Row | undefined>;
  /** `run` for a query made with `build`. */
  exec(query: Compilable<unknown>): Promise<number>;
}

export interface WriteTx extends Tx {
  /**
   * Appends a run event. All events of a unit are numbered and inserted by its last statements, so that the order of
   * the numbers of a workspace is the order of the commits, without gaps. They are published after the commit.
   */
  record<Type extends RunEventType>(event: RunEventDraft<Type>): void;
  /**
   * Writes an entry of the audit log, in the transaction of what it tells about. The log is append-only: the database
   * refuses to change an entry.
   */
  audit(actor: AuditActor, entry: AuditEntry): Promise<void>;
  /**
   * Tells something inside this process once the unit is committed: a wake-up, a change of a cache. Never called when
   * the unit is rolled back. Must not throw: an exception is logged and dropped.
   */
  afterCommit(callback: () => void): void;
  /**
   * A value that takes longer to compute than a unit may last, or is computed elsewhere. The first time the unit ends here,
   * is rolled back, and runs again once `compute` has answered; `key` says all that the value depends on. When `compute`
   * rejects, so does the write.
   */
  outside<T>(key: string, compute: () => Promise<T>): T;
}

/** From where a call came. `at` is when, in milliseconds. */
export interface Origin {
  readonly ip: string;
  readonly requestId: string;
  readonly userAgent: string | null;
  readonly at: number;
}

/** Who did something; without a user it was a runner, or somebody who is not signed in. */
export interface AuditActor {
  readonly userId: string | null;
  readonly token: { readonly id: string } | null;
  /** Of a runner that did it for a job of its own; the details say which. */
  readonly runnerId?: string;
  readonly origin: Origin;
  /** When what is done must be done only once: the entry's transaction also keeps the key. */
  readonly call?: IdempotentCall | null;
}

/** A call with an `Idempotency-Key`. `caller` is a user or an access token; `nonce` tells this try of it from others. */
export interface IdempotentCall {
  readonly caller: string;
  readonly route: string;
  readonly key: string;
  readonly bodyHash: string;
  readonly nonce: string;
}

/** `action` is `<object>.<past verb>`; `workspaceId` null is for what concerns the whole server. `details` holds no secret. */
export interface AuditEntry {
  readonly workspaceId: string | null;
  readonly action: string;
  readonly target: { readonly type: string; readonly id: string | null; readonly name?: string | null };
  /** `done` unless it is said that somebody was not allowed, or tried in vain. */
  readonly outcome?: "done" | "denied" | "failed";
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A run event before it has its number. `createdAt` is wall time in milliseconds; `payload` becomes JSON. */
export interface RunEventDraft<Type extends RunEventType = RunEventType> {
  workspaceId: string;
  type: Type;
  runId: string | null;
  projectId: string | null;
  jobId?: string | null;
  executionId?: string | null;
  stepId?: string | null;
  payload: RunEventPayloads[Type];
  createdAt: number;
}

/** A committed run event. `id` counts from 1 within its workspace, without gaps. */
export interface RunEvent extends RunEventDraft {
  id: number;
}

/**
 * The only door to the database: one on SQLite, one on PostgreSQL, with the same promises.
 *
 * A unit awaits nothing but its `tx`. Clocks, random values, files and the network come before it. A unit that waits
 * for anything else is refused with a `UnitError` and rolled back, because on SQLite all others wait behind it. It is
 * safe to run again: PostgreSQL repeats it after a deadlock, so it changes nothing outside the database except through
 * `record` and `afterCommit`, which start empty on each try.
 *
 * `write` answers after the commit. When it rejects, nothing was stored, with one exception: a connection to
 * PostgreSQL that breaks during `COMMIT` leaves the outcome open; the process then stops, because what it keeps in
 * memory may be behind the rows, and callers repeat with their idempotency key.
 * After the commit the caller is answered, `afterCommit` callbacks run and run events are published, the latter two in
 * commit order; neither waits for what the caller does with the answer.
 *
 * Rejections of the store itself are `StoreError`: 507 `storage-full`, 503 `store-unavailable`, 503 `overloaded`.
 */
export interface Store {
  readonly dialect: "sqlite" | "postgres";
  /** The few texts in which the dialects differ. */
  readonly sql: DialectSql;
  /**
   * Grows with every commit: what was read while it was the same is still so. Null where others, too, write to the database, as
   * they may on PostgreSQL.
   */
  readonly version: number | null;
  write<T>(unit: (tx: WriteTx) => Promise<T>): Promise<T>;
  /** Several statements on one snapshot, which holds every write answered before. For reads of less than 5 ms. */
  read<T>(query: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * One statement that may take longer than 5 ms: lists with totals, aggregates, exports. On SQLite it runs in a thread
   * of its own, so that the event loop stays free. Ends with `store-unavailable` after `SLOW_READ_TIMEOUT_MS`.
   */
  readSlow<Row>(sql: string, params?: readonly SqlValue[]): Promise<Row[]>;
  /** Refuses new work, finishes what was accepted, releases the lock on the data. Safe to call twice. */
  close(): Promise<void>;
}

/** Told of committed run events, in commit order per workspace, never of one that was rolled back. Must not throw. */
export type RunEventListener = (events: RunEvent[]) => void;

/** Longest time a `readSlow` may take. */
export const SLOW_READ_TIMEOUT_MS = 30_000;

/** Most units and slow reads that wait for the database at once; one more is answered with 503 `overloaded`. */
export const MAX_WAITING = 4_096;
