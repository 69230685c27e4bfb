import { Environment, type ParseResult } from "@marcbachmann/cel-js";

const MAX_EXPRESSION_CHARS = 2_000;
const MAX_TEXT_CHARS = 20_000;
const WHOLE = /^\s*\$\{\{([^]*?)\}\}\s*$/;
const EACH = /\$\{\{([^]*?)\}\}/g;

/** The sentence says what is wrong with the expression. */
export class ExpressionError extends Error {
  override readonly name = "ExpressionError";
}

/** Names that expressions can read. */
export type Scope = Readonly<Record<string, unknown>>;

const environment = new Environment({
  unlistedVariablesAreDyn: true,
  limits: { maxAstNodes: 1_000, maxDepth: 50, maxListElements: 1_000, maxMapEntries: 1_000, maxCallArguments: 32 },
});
const parsed = new Map<string, ParseResult>();

/**
 * A value with the expressions `${{ … }}` in its texts filled in, at any depth; keys of maps are left alone. A text that is one
 * expression becomes its value, with its type. Throws ExpressionError through `fail`, which knows the place.
 */
export function fillIn(
  value: unknown,
  scope: Scope,
  path: readonly (string | number)[],
  fail: (path: readonly (string | number)[], message: string) => never,
): unknown {
  if (Array.isArray(value)) return value.map((item, index) => fillIn(item, scope, [...path, index], fail));
  if (isMap(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, fillIn(item, scope, [...path, key], fail)]),
    );
  if (typeof value !== "string") return value;
  try {
    return fillInText(value, scope);
  } catch (error) {
    if (error instanceof ExpressionError) return fail(path, error.message);
    throw error;
  }
}

/** Throws ExpressionError. */
export function fillInText(text: string, scope: Scope): unknown {
  if (!text.includes("${{")) return text;
  if (text.length > MAX_TEXT_CHARS)
    throw new ExpressionError(`a text with expressions has at most ${MAX_TEXT_CHARS} characters`);
  const whole = WHOLE.exec(text)?.[1];
  if (whole !== undefined && !whole.includes("${{")) return evaluate(whole, scope);
  return text.replaceAll(EACH, (_, source: string) => asText(evaluate(source, scope), source));
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function evaluate(source: string, scope: Scope): unknown {
  const trimmed = source.trim();
  if (trimmed === "") throw new ExpressionError("the expression is empty");
  if (trimmed.length > MAX_EXPRESSION_CHARS)
    throw new ExpressionError(`an expression has at most ${MAX_EXPRESSION_CHARS} characters`);
  try {
    const expression = parsed.get(trimmed) ?? environment.parse(trimmed);
    parsed.set(trimmed, expression);
    return plain(expression(scope));
  } catch (error) {
    const [reason = ""] = (error as Error).message.split("\n");
    throw new ExpressionError(`the expression \`${trimmed}\` cannot be evaluated: ${reason}`);
  }
}

/** CEL counts in 64 bits; a templates file holds small numbers. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item)]));
  if (isMap(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value;
}

function asText(value: unknown, source: string): string {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw new ExpressionError(
    `the expression \`${source.trim()}\` is no text, number or boolean, so it cannot be part of a text`,
  );
}
