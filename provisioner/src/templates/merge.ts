import { isMap } from "./expressions.ts";

/** `over` laid over `under`: maps merge at every depth, everything else is replaced whole. */
export function merge(under: unknown, over: unknown): unknown {
  if (!isMap(under) || !isMap(over)) return over === undefined ? under : over;
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over))
    merged[key] = Object.hasOwn(under, key) ? merge(under[key], value) : value;
  return merged;
}
