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
    options: { at?: "key" | "value"; suggestion?: string | undefined } = {},
  ): void {
    this.#log.add({ code, message, path: this.path, ...options });
  }
}

/** Reports every fault of `value` at `place`; knows nothing of its surroundings. */
export type Check = (value: unknown, place: Place) => void;

interface ObjectRule {
  /** For messages, with article: "a job". */
  what: string;
  keys: Readonly<Record<string, Check>>;
  required?: readonly string[];
  /** Keys that are refused with a message of their own. */
  refused?: Readonly<Record<string, string>>;
}

/** A mapping with known keys; every other key is refused. */
export function object(rule: ObjectRule): Check {
  const checks = new Map(Object.entries(rule.keys));
  const refused = new Map(Object.entries(rule.refused ?? {}));
  const known = [...checks.keys()];

  /** Answers the key that the author probably meant. */
  function refuseKey(key: string, place: Place): string | undefined {
    const message = refused.get(key);
    if (message !== undefined) {
      place.refuse("unsupported-key", message, { at: "key" });
      return undefined;
    }
    const suggestion = suggest(key, known);
    const advice = suggestion ? `did you mean \`${suggestion}\`?` : `it may have: ${known.join(", ")}`;
    place.refuse("unknown-key", `${rule.what} has no key \`${shorten(key)}\`; ${advice}`, { at: "key", suggestion });
    return suggestion;
  }

  return (value, place) => {
    if (!isMapping(value)) return refuseType(value, place, `${rule.what}, which is a mapping`);
    const meant = new Set<string | undefined>();
    for (const [key, child] of Object.entries(value)) {
      const check = checks.get(key);
      if (check) check(child, place.child(key));
      else meant.add(refuseKey(key, place.child(key)));
    }
    for (const key of rule.required ?? []) {
      // A misspelt key is one fault, not two.
      if (Object.hasOwn(value, key) || meant.has(key)) continue;
      place.child(key).refuse("missing-key", `${rule.what} needs the key \`${key}\``, { at: "key" });
    }
  };
}

/** A mapping with free keys and at least one entry. */
export function entries(what: string, checkKey: Check, checkEntry: Check): Check {
  return (value, place) => {
    if (!isMapping(value)) return refuseType(value, place, `a mapping of ${what}`);
    const pairs = Object.entries(value);
    if (pairs.length === 0) return place.refuse("invalid-value", `at least one of ${what} is needed here`);
    for (const [key, child] of pairs) {
      checkKey(key, place.child(key));
      checkEntry(child, place.child(key));
    }
  };
}

/** A list with at least one entry. */
export function list(what: string, checkItem: Check): Check {
  return (value, place) => {
    if (!Array.isArray(value)) return refuseType(value, place, `a list of ${what}`);
    if (value.length === 0) return place.refuse("invalid-value", `at least one of ${what} is needed here`);
    for (const [index, item] of value.entries()) checkItem(item, place.child(index));
  };
}

/** One value, or a list of such values. */
export function oneOrMany(what: string, checkItem: Check): Check {
  const checkList = list(what, checkItem);
  return (value, place) => (Array.isArray(value) ? checkList(value, place) : checkItem(value, place));
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
