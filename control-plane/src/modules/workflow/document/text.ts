import { hasExpression, parseTemplate, readsSecret } from "../expressions.ts";
import { MAX_NAME_CHARACTERS } from "../limits.ts";
import { type Check, type Place, refuseType } from "./check.ts";
import { notYet } from "./unsupported.ts";

/** Text that is never evaluated. `what` names it in messages: "the name of a job". */
export function literal(what: string): Check {
  return (value, place) => {
    if (!isUsableText(value, place, what)) return;
    if (hasExpression(value)) {
      place.refuse("invalid-value", `${what} is literal text; write \`$\${{\` for a literal \`\${{\``);
    }
  };
}

/** Text in which the language allows `${{ }}` expressions. */
export function template(what: string): Check {
  return (value, place) => {
    if (isUsableText(value, place, what)) refuseExpression(value, place);
  };
}

/** Text in which this version evaluates `${{ vars.KEY }}` and `${{ secrets.KEY }}`. */
export function evaluated(what: string): Check {
  return (value, place) => {
    if (isUsableText(value, place, what)) checkExpressions(value, place);
  };
}

/** Literal text with a unit; the model layer reads it. */
export function duration(what: string): Check {
  const check = literal(what);
  return (value, place) => {
    if (typeof value === "string") check(value, place);
    else refuseType(value, place, `a duration with its unit for ${what}, such as \`90s\` or \`15m\``);
  };
}

/** Like `check`, for text that is stored under an index or shown as a label. */
export function short(check: Check): Check {
  return (value, place) => {
    check(value, place);
    if (typeof value !== "string" || value.length <= MAX_NAME_CHARACTERS) return;
    place.refuse(
      "invalid-value",
      `${value.length} characters are too many; at most ${MAX_NAME_CHARACTERS} are allowed`,
    );
  };
}

/** A key that the author chooses: of a job, trigger or step. */
export function chosenKey(what: string): Check {
  return (key, place) => {
    const name = String(key);
    if (name === "") place.refuse("invalid-value", `${what} may not be empty`, { at: "key" });
    else if (!isStorable(name)) place.refuse("invalid-value", `${what} ${UNSTORABLE}`, { at: "key" });
    else if (name.length > MAX_NAME_CHARACTERS) {
      place.refuse("invalid-value", `${what} may have at most ${MAX_NAME_CHARACTERS} characters`, { at: "key" });
    }
  };
}

export function checkExpressions(text: string, place: Place): void {
  for (const { code, message } of parseTemplate(text).faults) place.refuse(code, message);
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
  const advice = "write `$${{` for a literal `${{`";
  place.refuse("unsupported-expression", `${notYet("an expression `${{ … }}`")}; ${advice}`);
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
  else if (!isStorable(value)) place.refuse("invalid-value", `${what} ${UNSTORABLE}`);
  else return true;
  return false;
}
