import { ApiError } from "@shipfox/shared/errors";
import { UnitError } from "./errors.ts";
import type { SqlValue } from "./store.ts";

/**
 * Refuses what only one of the two databases takes, so that a fault shows on both: booleans, undefined, objects,
 * NaN, and NUL inside a text, which PostgreSQL cannot store.
 */
export function checkValues(values: readonly unknown[]): asserts values is readonly SqlValue[] {
  for (const [index, value] of values.entries()) {
    if (value === null || typeof value === "bigint" || value instanceof Uint8Array) continue;
    if (typeof value === "string") {
      if (value.includes("\0")) throw new ApiError("validation-error", "A text must not contain the NUL character.");
    } else if (typeof value !== "number" || !Number.isFinite(value)) {
      throw new UnitError(
        `Parameter ${index + 1} is ${describe(value)}; expected text, a finite number, bytes or null.`,
      );
    }
  }
}

/** Makes text that a machine sent storable: the replacement character instead of each NUL. */
export function replaceNul(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "\uFFFD") : text;
}

function describe(value: unknown): string {
  return typeof value === "number" ? String(value) : `of type ${typeof value}`;
}
