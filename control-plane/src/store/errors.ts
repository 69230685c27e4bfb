import { ApiError } from "@shipfox/shared/errors";

/**
 * The database cannot do what was asked at the moment; nothing was stored and the request may be repeated.
 * One of 507 `storage-full`, 503 `store-unavailable`, 503 `overloaded`.
 */
export class StoreError extends ApiError {}

export function storageFull(cause: unknown): StoreError {
  const message =
    "The disk of the database is full, nothing was stored. Free space on the control plane's data disk, then repeat.";
  return new StoreError("storage-full", message, { cause });
}

export function storeUnavailable(reason: string, cause?: unknown): StoreError {
  return new StoreError("store-unavailable", `The database is not available (${reason}). Repeat in a moment.`, {
    cause,
  });
}

export function overloaded(waiting: number): StoreError {
  return new StoreError("overloaded", `${waiting} requests already wait for the database. Repeat in a moment.`);
}

/** A statement broke a constraint of the schema. */
export class ConstraintError extends Error {
  readonly kind: "unique" | "foreign-key" | "not-null" | "check";
  /** Undefined for foreign keys on SQLite, which names neither table nor columns. */
  readonly table: string | undefined;
  readonly columns: readonly string[];

  constructor(fields: Pick<ConstraintError, "kind" | "table" | "columns">, cause: unknown) {
    super(cause instanceof Error ? cause.message : `A ${fields.kind} constraint failed.`, { cause });
    this.name = "ConstraintError";
    this.kind = fields.kind;
    this.table = fields.table;
    this.columns = fields.columns;
  }
}

/** The code of a unit broke the rules of `Store`: a fault in this program, never the user's. */
export class UnitError extends Error {
  override readonly name = "UnitError";
}

/** The store cannot be opened. The message says why and what to do; the process prints it and ends. */
export class StoreRefusal extends Error {
  override readonly name = "StoreRefusal";
}

/** Ends a unit that needs a value which nobody has computed yet. */
export class OutsideValueNeeded extends Error {
  override readonly name = "OutsideValueNeeded";
  readonly key: string;
  readonly compute: () => Promise<unknown>;

  constructor(key: string, compute: () => Promise<unknown>) {
    super("A unit of the store needs a value from outside.");
    this.key = key;
    this.compute = compute;
  }
}
