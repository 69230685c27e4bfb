import type { DiagnosticCode, DiagnosticLog } from "../diagnostics.ts";
import { shorten } from "../shorten.ts";
import { suggest } from "../suggest.ts";
import type { Path } from "../yaml/source-map.ts";

/** Where a check stands in the document, and where it reports. */
export class Place {
  readonly path: Path;
  readonly #log: DiagnosticLog;

  constructor(log: DiagnosticLog, path: Path = []) {
    this.#log = log;
    this.path = path;
  }

  /** The value as it is written, when it is an unquoted scalar. */
  written(): string | null {
    return this.#log.source.plainText(this.path);
  }

  child(segment: string | number): Place {
    return new Place(this.#log, [...this.path, segment]);
  }

  refuse(
    code: DiagnosticCode,
    message: string,
    options: { at?: "key" | "value"; pointAt?: Path; suggestion?: string | undefined } = {},
  ): void {
    this.#log.add({ code, message, path: this.path, ...options });
  }
}

export type JsonSchema = Readonly<Record<string, unknown>> | boolean;

/** Reports every fault of `value` at `place`; knows nothing of its surroundings. `schema` tells editors the same. */
export interface Check {
  (value: unknown, place: Place): void;
  readonly schema: JsonSchema;
}

/** A rule in both its forms. `schema` may say less than `report` does, never more. */
export function check(schema: JsonSchema, report: (value: unknown, place: Place) => void): Check {
  return Object.assign(report, { schema });
}

interface ObjectRule {
  /** For messages, with article: "a job". */
  what: string;
  keys: Readonly<Record<string, Check>>;
  required?: readonly string[];
  /** Keys that are refused with a code and a message of their own. */
  refused?: Readonly<Record<string, Refusal>>;
  /** What has to hold between the keys, beyond `required`. */
  schema?: Readonly<Record<string, unknown>>;
}

export interface Refusal {
  code: DiagnosticCode;
  message: string | ((value: unknown) => string);
  suggestion?: string;
}

/** A mapping with known keys; every other key is refused. */
export function object(rule: ObjectRule): Check {
  const checks = new Map(Object.entries(rule.keys));
  const refused = new Map(Object.entries(rule.refused ?? {}));
  const known = [...checks.keys()];

  /** Answers the key that the author probably meant. An unknown key is a fault of the mapping, shown at the key. */
  function refuseKey(key: string, value: unknown, place: Place): string | undefined {
    const refusal = refused.get(key);
    if (refusal) {
      const { code, message, suggestion } = refusal;
      place.child(key).refuse(code, typeof message === "string" ? message : message(value), { at: "key", suggestion });
      return suggestion;
    }
    const suggestion = suggest(key, known);
    const advice = suggestion ? `did you mean \`${suggestion}\`?` : `it may have: ${known.join(", ")}`;
    const message = `${rule.what} has no key \`${shorten(key)}\`; ${advice}`;
    place.refuse("unknown-key", message, { at: "key", pointAt: place.child(key).path, suggestion });
    return suggestion;
  }

  const properties = Object.fromEntries([...checks].map(([key, { schema }]) => [key, schema]));
  const required = rule.required ? { required: rule.required } : {};
  return check(
    { type: "object", properties, additionalProperties: false, ...required, ...rule.schema },
    (value, place) => {
      if (!isMapping(value)) return refuseType(value, place, `${rule.what}, which is a mapping`);
      const meant = new Set<string | undefined>();
      for (const [key, child] of Object.entries(value)) {
        const checkKey = checks.get(key);
        if (checkKey) checkKey(child, place.child(key));
        else meant.add(refuseKey(key, child, place));
      }
      for (const key of rule.required ?? []) {
        // A misspelt key is one fault, not two.
        if (Object.hasOwn(value, key) || meant.has(key)) continue;
        place.child(key).refuse("missing-key", `${rule.what} needs the key \`${key}\``, { at: "key" });
      }
    },
  );
}

/** A mapping with free keys and at least one entry. */
export function entries(what: string, checkKey: Check, checkEntry: Check): Check {
  const names = { propertyNames: checkKey.schema, additionalProperties: checkEntry.schema };
  return check({ type: "object", minProperties: 1, ...names }, (value, place) => {
    if (!isMapping(value)) return refuseType(value, place, `a mapping of ${what}`);
    const pairs = Object.entries(value);
    if (pairs.length === 0) return place.refuse("invalid-value", `at least one of ${what} is needed here`);
    for (const [key, child] of pairs) {
      checkKey(key, place.child(key));
      checkEntry(child, place.child(key));
    }
  });
}

/** A list with at least one entry. */
export function list(what: string, checkItem: Check): Check {
  return check({ type: "array", minItems: 1, items: checkItem.schema }, (value, place) => {
    if (!Array.isArray(value)) return refuseType(value, place, `a list of ${what}`);
    if (value.length === 0) return place.refuse("invalid-value", `at least one of ${what} is needed here`);
    for (const [index, item] of value.entries()) checkItem(item, place.child(index));
  });
}

/** One value, or a list of such values. */
export function oneOrMany(what: string, checkItem: Check): Check {
  const checkList = list(what, checkItem);
  return check({ anyOf: [checkItem.schema, checkList.schema] }, (value, place) =>
    Array.isArray(value) ? checkList(value, place) : checkItem(value, place),
  );
}

/** One of a few words or truth values. `what` names it in messages: "`on_resolve`". */
export function oneOf(what: string, choices: readonly (string | boolean)[]): Check {
  const expected = choices.map((choice) => `\`${choice}\``).join(", ");
  return check({ enum: choices }, (value, place) => {
    if (choices.some((choice) => choice === value)) return;
    if (typeof value !== "string") return refuseType(value, place, `one of ${expected}`);
    const suggestion = suggest(
      value,
      choices.filter((choice) => typeof choice === "string"),
    );
    place.refuse("invalid-value", `${what} may be ${expected}; found \`${shorten(value)}\``, { suggestion });
  });
}

export const yesOrNo = check({ type: "boolean" }, (value, place) => {
  if (typeof value !== "boolean") refuseType(value, place, "`true` or `false`");
});

export function wholeNumber(min: number, max: number): Check {
  return check({ type: "integer", minimum: min, maximum: max }, (value, place) => {
    if (typeof value !== "number") return refuseType(value, place, `a whole number from ${min} to ${max}`);
    if (Number.isInteger(value) && value >= min && value <= max) return;
    place.refuse("invalid-value", `${value} is not a whole number from ${min} to ${max}`);
  });
}

export function refuseType(value: unknown, place: Place, expected: string): void {
  place.refuse("invalid-type", `expected ${expected}; found ${describe(value)}`);
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return `the ${typeof value} ${shorten(typeof value === "string" ? JSON.stringify(value) : `${value as number | boolean}`)}`;
}
