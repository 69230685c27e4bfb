import { hasExpression, readsSecret } from "../expressions/template.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { type Check, check, type JsonSchema, type Place, refuseType } from "./check.ts";

/** No `${{`, unless it is written `$${{`. */
const LITERAL_PATTERN = "^(?:(?!\\$\\{\\{)[\\s\\S]|(?<=\\$)\\$\\{\\{)*$";

/** Text that is never evaluated. `what` names it in messages: "the name of a job". */
export function literal(what: string): Check {
  return check({ type: "string", minLength: 1, pattern: LITERAL_PATTERN }, (value, place) => {
    if (!isUsableText(value, place, what)) return;
    if (hasExpression(value)) {
      place.refuse("invalid-value", `${what} is literal text; write \`$\${{\` for a literal \`\${{\``);
    }
  });
}

/** Text in which `${{ }}` expressions may stand; the model layer reads them. */
export function template(what: string): Check {
  return check({ type: "string", minLength: 1 }, (value, place) => void isUsableText(value, place, what));
}

/** A bare expression, without `${{ }}`; the model layer reads it. */
export function predicate(what: string): Check {
  return template(what);
}

/** Text of our own keys, for which the language has no expressions. */
export function unevaluated(what: string): Check {
  return check({ type: "string", minLength: 1 }, (value, place) => {
    if (isUsableText(value, place, what)) refuseExpression(value, place);
  });
}

/** Literal text with a unit; the model layer reads it. */
export function duration(what: string): Check {
  const checkText = literal(what);
  return check({ type: "string", pattern: "^\\s*\\d+(?:ms|s|m|h|d)\\s*$" }, (value, place) => {
    if (typeof value === "string") checkText(value, place);
    else refuseType(value, place, `a duration with its unit for ${what}, such as \`90s\` or \`15m\``);
  });
}

/** Like `inner`, for text that is stored under an index or shown as a label. */
export function short(inner: Check, maxCharacters = MAX_NAME_CHARACTERS): Check {
  return check(withMaxLength(inner.schema, maxCharacters), (value, place) => {
    inner(value, place);
    if (typeof value !== "string" || value.length <= maxCharacters) return;
    place.refuse("invalid-value", `${value.length} characters are too many; at most ${maxCharacters} are allowed`);
  });
}

function withMaxLength(schema: JsonSchema, maxLength: number): JsonSchema {
  return typeof schema === "boolean" ? { maxLength } : { ...schema, maxLength };
}

/** A key that the author chooses: of a job, trigger or step. */
export function chosenKey(what: string): Check {
  return check({ minLength: 1, maxLength: MAX_NAME_CHARACTERS }, (key, place) => {
    const name = String(key);
    if (name === "") place.refuse("invalid-value", `${what} may not be empty`, { at: "key" });
    else if (!isStorable(name)) place.refuse("invalid-value", `${what} ${UNSTORABLE}`, { at: "key" });
    else if (name.length > MAX_NAME_CHARACTERS) {
      place.refuse("invalid-value", `${what} may have at most ${MAX_NAME_CHARACTERS} characters`, { at: "key" });
    }
  });
}

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A key that expressions name behind a dot. */
export function identifierKey(what: string): Check {
  return check({ pattern: IDENTIFIER.source, maxLength: MAX_NAME_CHARACTERS }, (key, place) => {
    const name = String(key);
    if (IDENTIFIER.test(name) && name.length <= MAX_NAME_CHARACTERS) return;
    const rule = `letters, digits and \`_\`, not starting with a digit, at most ${MAX_NAME_CHARACTERS}`;
    place.refuse("invalid-value", `${what} is an identifier: ${rule}`, { at: "key" });
  });
}

export function refuseExpression(text: string, place: Place): void {
  if (!hasExpression(text)) return;
  if (readsSecret(text)) {
    const advice = "bind it to a variable in the `env` of a run step and use that";
    return place.refuse(
      "runner-context-in-field",
      `a secret cannot be used here, only in \`run\` and \`env\`; ${advice}`,
    );
  }
  const message = "no expression `${{ … }}` can stand here; write `$${{` for a literal `${{`";
  place.refuse("unsupported-expression", message);
}

/** Databases refuse NUL in text, and half a surrogate pair has no UTF-8 form. */
export function isStorable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}

export const UNSTORABLE = "contains a NUL character or half of a surrogate pair, which cannot be stored";

function isUsableText(value: unknown, place: Place, what: string): value is string {
  if (typeof value === "number" || typeof value === "boolean") {
    const suggestion = JSON.stringify(place.written() ?? String(value));
    place.refuse("invalid-type", `${what} is text; put it in quotes: ${suggestion}`, { suggestion });
    return false;
  }
  if (typeof value !== "string") {
    refuseType(value, place, `text for ${what}`);
    return false;
  }
  if (value === "") place.refuse("invalid-value", `${what} may not be empty`);
  else if (isBareTime(value, place)) refuseBareTime(value, place);
  else if (!isStorable(value)) place.refuse("invalid-value", `${what} ${UNSTORABLE}`);
  else return true;
  return false;
}

const TIME = /^\d{4}-\d\d?-\d\d?(?:(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::?\d\d)?))?)?$/;

/** The published language takes a date or time without quotes for a time, which no text is. */
export function isBareTime(text: string, place: Place): boolean {
  return TIME.test(text) && place.written() !== null;
}

export function refuseBareTime(text: string, place: Place): void {
  const suggestion = JSON.stringify(text);
  place.refuse("invalid-type", `without quotes this is a time, not text; write ${suggestion}`, { suggestion });
}
