import { Lru } from "./lru.ts";

/** Rewritten texts kept; more than a process uses, unless texts are built from data. */
const MAX_REWRITTEN = 2_000;

/** What may contain a `?` that is no placeholder: strings, quoted names, comments. Then the placeholder itself. */
const TOKENS = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\?/g;

const rewritten = new Lru<string, string>(MAX_REWRITTEN);

/** From `?` to the `$1`, `$2` … of PostgreSQL. */
export function numberPlaceholders(sql: string): string {
  const known = rewritten.get(sql);
  if (known !== undefined) return known;
  let count = 0;
  const text = sql.replace(TOKENS, (token) => (token === "?" ? `$${++count}` : token));
  rewritten.set(sql, text);
  return text;
}
