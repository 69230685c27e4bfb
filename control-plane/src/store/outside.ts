import { OutsideValueNeeded } from "./errors.ts";
import type { WriteTx } from "./store.ts";
import { Unit } from "./unit.ts";

/** Values of one unit that are computed outside of it; more is a unit that asks for another one each time. */
const MAX_OUTSIDE_VALUES = 256;

/** Runs a unit again with each value that it turns out to need: see `WriteTx.outside`. */
export async function writeWithOutsideValues<T>(
  write: (unit: (tx: WriteTx) => Promise<T>) => Promise<T>,
  body: (tx: WriteTx) => Promise<T>,
): Promise<T> {
  let known: Map<string, unknown> | undefined;
  for (;;) {
    const values = known;
    const unit = values === undefined ? body : (tx: WriteTx) => body(withValues(tx, values));
    try {
      return await write(unit);
    } catch (error) {
      if (!(error instanceof OutsideValueNeeded) || (known?.size ?? 0) >= MAX_OUTSIDE_VALUES) throw error;
      known ??= new Map();
      known.set(error.key, await error.compute());
    }
  }
}

function withValues(tx: WriteTx, values: ReadonlyMap<string, unknown>): WriteTx {
  if (tx instanceof Unit) tx.outsideValues = values;
  return tx;
}
