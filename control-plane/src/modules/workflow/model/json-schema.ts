import type { Path } from "../yaml/source-map.ts";

type Schema = Record<string, unknown>;

const TYPES: ReadonlySet<unknown> = new Set(["string", "number", "integer", "boolean", "null", "array", "object"]);
const SCHEMAS = ["items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else"];
const LISTS_OF_SCHEMAS = ["allOf", "anyOf", "oneOf", "prefixItems"];
const MAPS_OF_SCHEMAS = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
const COUNTS = [
  "minLength",
  "maxLength",
  "minItems",
  "maxItems",
  "minProperties",
  "maxProperties",
  "minContains",
  "maxContains",
];
const TEXTS = ["$ref", "$id", "$schema", "$anchor", "$comment", "title", "description", "format"];

/** The first keyword of a JSON Schema (draft 2020-12) that is not used as it is defined; null when there is none. */
export function schemaFault(schema: unknown, path: Path = []): { path: Path; message: string } | null {
  if (typeof schema === "boolean") return null;
  if (!isObject(schema)) return { path, message: "a schema is a mapping, `true` or `false`" };
  for (const [keyword, value] of Object.entries(schema)) {
    const fault = keywordFault(keyword, value, [...path, keyword]);
    if (fault) return fault;
  }
  return null;
}

function keywordFault(keyword: string, value: unknown, path: Path): { path: Path; message: string } | null {
  const expected = (what: string) => ({ path, message: `\`${keyword}\` of a JSON Schema is ${what}` });
  if (SCHEMAS.includes(keyword)) return schemaFault(value, path);
  if (LISTS_OF_SCHEMAS.includes(keyword)) {
    if (!Array.isArray(value) || value.length === 0) return expected("a list of schemas");
    return firstFault(value.entries(), path);
  }
  if (MAPS_OF_SCHEMAS.includes(keyword)) {
    if (!isObject(value)) return expected("a mapping of schemas");
    const broken = keyword === "patternProperties" && Object.keys(value).find((pattern) => !isPattern(pattern));
    return typeof broken === "string"
      ? expected("a mapping with regular expressions as keys")
      : firstFault(Object.entries(value), path);
  }
  if (keyword === "type") {
    const types = [value].flat();
    return types.length > 0 && types.every((type) => TYPES.has(type))
      ? null
      : expected(`one of ${[...TYPES].join(", ")}`);
  }
  if (keyword === "enum") return Array.isArray(value) ? null : expected("a list of values");
  if (keyword === "required") return isListOfTexts(value) ? null : expected("a list of property names");
  if (keyword === "pattern")
    return typeof value === "string" && isPattern(value) ? null : expected("a regular expression");
  if (keyword === "multipleOf") return typeof value === "number" && value > 0 ? null : expected("a number over 0");
  if (keyword === "uniqueItems") return typeof value === "boolean" ? null : expected("`true` or `false`");
  if (NUMBERS.includes(keyword)) return typeof value === "number" ? null : expected("a number");
  if (COUNTS.includes(keyword))
    return Number.isInteger(value) && Number(value) >= 0 ? null : expected("a whole number from 0");
  if (TEXTS.includes(keyword)) return typeof value === "string" ? null : expected("a text");
  return null;
}

function firstFault(schemas: Iterable<[string | number, unknown]>, path: Path): { path: Path; message: string } | null {
  for (const [key, schema] of schemas) {
    const fault = schemaFault(schema, [...path, key]);
    if (fault) return fault;
  }
  return null;
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isListOfTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, "u").source !== "";
  } catch {
    return false;
  }
}
