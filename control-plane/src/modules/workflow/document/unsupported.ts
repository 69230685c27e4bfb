import type { Refusal } from "./check.ts";

/** Keys of our own that this version does not run yet. A key leaves this table when its rule enters the document schema. */
export const UNSUPPORTED_KEYS = {
  job: ["approval"],
  step: ["artifacts", "cache"],
} as const;

/** Refusals for an object rule, by key. */
export function refusals(
  keys: readonly string[],
  message = (key: string): string => `\`${key}\` is reserved for a later version, and this one does not support it yet`,
): Record<string, Refusal> {
  return Object.fromEntries(keys.map((key) => [key, { code: "unsupported-key" as const, message: message(key) }]));
}

/** A key of the language's older form: names the key of today and shows the line to write. */
export function renamed(key: string, line: (value: string) => string): Refusal {
  return {
    code: "renamed-key",
    message: (value) => `this key is called \`${key}\` now; write \`${line(written(value))}\``,
    suggestion: key,
  };
}

function written(value: unknown): string {
  if (typeof value !== "string") return "…";
  const line = value.split("\n", 1)[0] ?? "";
  return line.length > 200 ? "…" : line;
}
