import { MAX_MATRIX_JOBS, MAX_NAME_CHARACTERS } from "../limits.ts";
import { check, entries, isMapping, list, object, refuseType, wholeNumber, yesOrNo } from "./check.ts";
import { refuseExpression, identifierKey, isStorable, UNSTORABLE } from "./text.ts";

const SETTINGS = ["include", "exclude", "max_parallel", "fail_fast"];

/** A text, number or truth value as it is written; it becomes part of the name of a job. */
const value = check({ type: ["string", "number", "boolean"], maxLength: MAX_NAME_CHARACTERS }, (found, place) => {
  if (typeof found === "boolean" || (typeof found === "number" && Number.isFinite(found))) return;
  if (typeof found !== "string") return refuseType(found, place, "a text, a number, `true` or `false`");
  if (found.length > MAX_NAME_CHARACTERS)
    return place.refuse("invalid-value", `a value of a matrix may have at most ${MAX_NAME_CHARACTERS} characters`);
  if (!isStorable(found)) return place.refuse("invalid-value", `a value of a matrix ${UNSTORABLE}`);
  refuseExpression(found, place);
});

const axisKey = identifierKey("the name of an axis");
const combinations = list("combinations", entries("values", axisKey, value));

const settings = object({
  what: "a matrix",
  keys: {
    include: combinations,
    exclude: combinations,
    max_parallel: wholeNumber(1, MAX_MATRIX_JOBS),
    fail_fast: yesOrNo,
  },
});
const axis = list("values", value);

const schema = {
  ...(settings.schema as object),
  propertyNames: axisKey.schema,
  additionalProperties: axis.schema,
  minProperties: 1,
};

/** Axes beside the settings, which are no axes. */
export const matrix = check(schema, (found, place) => {
  if (!isMapping(found)) return refuseType(found, place, "a mapping of axes to their values");
  const isSetting = ([key]: [string, unknown]) => SETTINGS.includes(key);
  const axes = Object.entries(found).filter((entry) => !isSetting(entry));
  settings(Object.fromEntries(Object.entries(found).filter(isSetting)), place);
  if (axes.length === 0 && !Object.hasOwn(found, "include"))
    place.refuse("invalid-value", "a matrix needs at least one axis, such as `node: [22, 24]`, or `include`");
  for (const [key, values] of axes) {
    axisKey(key, place.child(key));
    axis(values, place.child(key));
  }
});
