import fc from "fast-check";

export type JsonSchema = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 6;
const MAX_ITEMS = 3;
const HUGE_CHARS = 70_000;
const DEEP_LEVELS = 300;

/** Texts that have broken servers. */
const HOSTILE_TEXTS = [
  "",
  " ",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\udfff\ud800",
  "\u202e\u200b\ufeff",
  "𝕏🦊👩‍👩‍👧‍👦",
  "İıſK",
  "ÅÅ",
  "'; drop table users; --",
  "%",
  "_",
  "%00",
  "..",
  "../../etc/passwd",
  "__proto__",
  "constructor",
  "toString",
  "${{ secrets.TOKEN }}",
  "NaN",
  "1e999",
  "-0",
  "9007199254740993",
  "99999999999999999999",
  "0x10",
  "2026-13-45T99:99:99Z",
  "0000-01-01T00:00:00Z",
  "+275760-09-13T00:00:00.000Z",
  "null",
  "[]",
  "{}",
  "x".repeat(HUGE_CHARS),
  "é".repeat(300),
];

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...HOSTILE_TEXTS),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 300 }),
);

const hostileNumber = fc.oneof(
  fc.constantFrom(-1, 0, -0, 1.5, 2 ** 31, 2 ** 53, -(2 ** 53), 1e308, 5e-324),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
);

/** Anything that JSON can say, and keys that mean something to JavaScript. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  hostileNumber,
  fc.constantFrom(null, true, false, [], {}, [[]], deep()),
  fc.jsonValue({ maxDepth: 3 }),
  fc.dictionary(fc.constantFrom("__proto__", "constructor", "prototype", "toJSON", "length", ""), fc.jsonValue(), {
    maxKeys: 3,
    noNullPrototype: false,
  }),
);

function deep(): unknown {
  let value: unknown = 1;
  for (let level = 0; level < DEEP_LEVELS; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

/** Things that exist: all ids, and what parameters of the path can name. */
interface Known {
  readonly ids: readonly string[];
  readonly params: Readonly<Record<string, readonly string[]>>;
}

/** Values that a schema allows, mostly: some patterns and formats are only met by chance, which makes them mutations. */
export class Values {
  readonly #components: Readonly<Record<string, JsonSchema>>;
  readonly #known: Known;

  constructor(components: Readonly<Record<string, JsonSchema>>, known: Known) {
    this.#components = components;
    this.#known = known;
  }

  of(schema: JsonSchema, depth = 0): fc.Arbitrary<unknown> {
    const reference = schema["$ref"];
    if (typeof reference === "string") {
      return this.of(this.#components[reference.replace("#/components/schemas/", "")] ?? {}, depth + 1);
    }
    if ("const" in schema) return fc.constant(schema["const"]);
    if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
    const ways = (schema["anyOf"] ?? schema["oneOf"]) as JsonSchema[] | undefined;
    if (ways) return fc.oneof(...ways.map((way) => this.of(way, depth + 1)));
    switch (schema["type"]) {
      case "string":
        return this.#text(schema);
      case "integer":
      case "number":
        return fc.integer({ min: bound(schema, "minimum", -10), max: bound(schema, "maximum", 1000) });
      case "boolean":
        return fc.boolean();
      case "null":
        return fc.constant(null);
      case "array":
        return this.#list(schema, depth);
      case "object":
        return this.#object(schema, depth);
      default:
        return hostileValue;
    }
  }

  #property(name: string, schema: JsonSchema, depth: number): fc.Arbitrary<unknown> {
    const known = knownValues(this.#known.params, name);
    const any = this.of(schema, depth);
    return known ? fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: any }) : any;
  }

  #text(schema: JsonSchema): fc.Arbitrary<string> {
    const { format, pattern } = schema as { format?: string; pattern?: string };
    if (format === "uuid")
      return fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(...this.#known.ids) },
        { weight: 1, arbitrary: fc.uuid() },
      );
    if (format === "date-time") {
      const instants = fc.date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true });
      return instants.map((instant) => instant.toISOString());
    }
    if (format === "email") return fc.constantFrom("ada@example.com", "nobody@example.com", "x@y.example");
    if (format === "uri")
      return fc.constantFrom("https://hooks.invalid/x", "http://127.0.0.1:1/", "file:///etc/passwd");
    const [minLength, maxLength] = [bound(schema, "minLength", 0), Math.min(bound(schema, "maxLength", 60), 200)];
    const matching = pattern === undefined ? null : matchingText(pattern);
    if (matching) return matching.map((text) => text.slice(0, Math.max(maxLength, minLength)));
    return fc.oneof(
      fc.string({ minLength, maxLength: Math.max(maxLength, minLength), unit: "grapheme" }),
      fc.constantFrom("name", "main", "linux", "run.finished", "git", "value"),
    );
  }

  #list(schema: JsonSchema, depth: number): fc.Arbitrary<unknown> {
    const minLength = bound(schema, "minItems", 0);
    const maxLength = Math.max(minLength, depth > MAX_DEPTH ? 0 : MAX_ITEMS);
    return fc.array(this.of((schema["items"] ?? {}) as JsonSchema, depth + 1), { minLength, maxLength });
  }

  #object(schema: JsonSchema, depth: number): fc.Arbitrary<unknown> {
    const properties = Object.entries((schema["properties"] ?? {}) as Record<string, JsonSchema>);
    const required = new Set((schema["required"] ?? []) as string[]);
    const kept = depth > MAX_DEPTH ? properties.filter(([name]) => required.has(name)) : properties;
    const model = Object.fromEntries(kept.map(([name, inner]) => [name, this.#property(name, inner, depth + 1)]));
    return fc.record(model, { requiredKeys: [...required].filter((name) => name in model), noNullPrototype: true });
  }
}

/** What exists under the name of a parameter or field: `workspace_id` is `workspaceId` of a path. */
export function knownValues(params: Known["params"], name: string): readonly string[] | undefined {
  const inPath = name.replace("workflow_run_id", "id").replace(/_id$/, "Id");
  return name.endsWith("_id") ? params[inPath] : undefined;
}

function bound(schema: JsonSchema, name: string, fallback: number): number {
  const value = schema[name];
  return typeof value === "number" ? value : fallback;
}

/** Null for patterns that the generator of texts does not know. */
function matchingText(pattern: string): fc.Arbitrary<string> | null {
  try {
    return fc.stringMatching(new RegExp(pattern, "u"));
  } catch {
    return null;
  }
}

/** A JSON text of the value with one thing in it changed, left out, added or twisted. */
export function mutated(value: unknown): fc.Arbitrary<string> {
  const text = JSON.stringify(value) ?? "null";
  return fc.oneof(
    fc.tuple(fc.nat(), hostileValue).map(([at, intruder]) => JSON.stringify(replaceNth(value, at, intruder)) ?? "null"),
    fc.tuple(fc.nat(text.length), fc.nat(20)).map(([at, length]) => text.slice(0, at) + text.slice(at + length)),
    fc
      .constantFrom('"__proto__":{"admin":true}', '"unknown":1', '"constructor":null')
      .map((extra) => (text.startsWith("{") ? `{${extra}${text === "{}" ? "" : ","}${text.slice(1)}` : text)),
    fc.constant(`${text}${text}`),
    fc.constant(`\ufeff${text}`),
  );
}

/** Walks depth first and puts `intruder` in the place of the value number `at`, modulo their count; undefined leaves it out. */
function replaceNth(root: unknown, at: number, intruder: unknown): unknown {
  const total = countValues(root);
  let left = at % total;
  const walk = (value: unknown): unknown => {
    if (left === 0) {
      left -= 1;
      return intruder;
    }
    left -= 1;
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, walk(inner)]));
  };
  return walk(root);
}

function countValues(value: unknown): number {
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((total: number, inner) => total + countValues(inner), 1);
}
