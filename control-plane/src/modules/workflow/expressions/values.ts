// TypeScript's libraries do not know it yet.
declare global {
  interface JSON {
    rawJSON(text: string): unknown;
  }
}

/**
 * JSON as the values of expressions: whole numbers of 64 bits are integers (`bigint`), all others fractions (`number`), also
 * `1.0`.
 */
export function parseValues(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) => {
    if (typeof value !== "number" || !/^-?\d+$/.test(context?.source ?? "")) return value;
    const whole = BigInt(context?.source ?? 0);
    return BigInt.asIntN(64, whole) === whole ? whole : value;
  });
}

/** The reverse of `parseValues`, for plain data: integers without, fractions with a decimal point or an exponent. */
export function stringifyValues(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item === "bigint") return JSON.rawJSON(String(item));
    return typeof item === "number" && Number.isInteger(item) ? JSON.rawJSON(decimal(item)) : item;
  });
}

function decimal(whole: number): string {
  const text = String(whole);
  return text.includes("e") ? text : `${text}.0`;
}

/**
 * The value of an expression as plain data: times become ISO 8601, integers beyond what JSON readers keep become texts.
 * `integer` says what others become. Throws for what JSON has not.
 */
export function toData(value: unknown, integer: (value: bigint) => unknown): unknown {
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? integer(value) : String(value);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (value === null) return null;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => toData(item, integer));
  const entries = value instanceof Map ? [...value] : isPlainObject(value) ? Object.entries(value) : null;
  if (entries) return Object.fromEntries(entries.map(([key, item]) => [String(key), toData(item, integer)]));
  throw new Error("the value is neither text, finite number, condition, list, mapping, time nor null");
}

/** As `toData`, with plain numbers. */
export function toPlain(value: unknown): unknown {
  return toData(value, Number);
}

function isPlainObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
