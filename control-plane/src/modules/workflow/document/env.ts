import { MAX_ENV_BYTES, MAX_ENV_ENTRIES } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { check, isMapping, type Place, refuseType } from "./check.ts";
import { isBareTime, isStorable, refuseBareTime, refuseExpression, UNSTORABLE } from "./text.ts";

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

const ENV_SCHEMA = {
  type: "object",
  propertyNames: { pattern: ENV_NAME.source },
  additionalProperties: { type: ["string", "number", "boolean"] },
  maxProperties: MAX_ENV_ENTRIES,
};

/** Variables for run steps: names to text, numbers or booleans; may be empty. Text may hold expressions. */
export const env = check(ENV_SCHEMA, (value, place) => checkEnv(value, place, () => {}));

/** As `env`, for what is no run step: nothing is evaluated. */
export const literalEnv = check(ENV_SCHEMA, (value, place) => checkEnv(value, place, refuseExpression));

function checkEnv(value: unknown, place: Place, checkText: (text: string, place: Place) => void): void {
  if (!isMapping(value)) return refuseType(value, place, "a mapping of variable names to values");
  const pairs = Object.entries(value);
  if (pairs.length > MAX_ENV_ENTRIES) {
    place.refuse(
      "invalid-value",
      `${pairs.length} variables are too many; at most ${MAX_ENV_ENTRIES} are allowed here`,
    );
    return;
  }
  for (const [name, entry] of pairs) {
    checkName(name, place.child(name));
    checkEntry(entry, place.child(name), checkText);
  }
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes > MAX_ENV_BYTES) {
    place.refuse(
      "invalid-value",
      `the variables take ${bytes} bytes as JSON; at most ${MAX_ENV_BYTES} are allowed here`,
    );
  }
}

function checkName(name: string, place: Place): void {
  if (ENV_NAME.test(name)) return;
  const rule = "letters, digits and `_`, not starting with a digit";
  place.refuse("invalid-value", `\`${shorten(name)}\` is not a variable name: use ${rule}`, { at: "key" });
}

function checkEntry(entry: unknown, place: Place, checkText: (text: string, place: Place) => void): void {
  if (typeof entry === "string") {
    if (!isStorable(entry)) place.refuse("invalid-value", `the value ${UNSTORABLE}`);
    else if (isBareTime(entry, place)) refuseBareTime(entry, place);
    else checkText(entry, place);
    return;
  }
  if (typeof entry === "boolean" || (typeof entry === "number" && Number.isFinite(entry))) return;
  const expected = 'text, a number or a boolean for a variable (`""` for an empty one)';
  refuseType(entry, place, expected);
}
