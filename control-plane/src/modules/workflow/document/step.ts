import { shorten } from "../shorten.ts";
import { type Check, isMapping, object, type Place } from "./check.ts";
import { env } from "./env.ts";
import { duration, evaluated, literal, short, template } from "./text.ts";
import { notYet, refusals, UNSUPPORTED_KEYS, UNSUPPORTED_STEP_KINDS } from "./unsupported.ts";

const runStepRule = {
  what: "a step",
  keys: {
    key: short(literal("the key of a step")),
    name: short(template("the name of a step")),
    run: evaluated("the command of a step"),
    env,
    working_directory: relativeFolder,
    timeout: duration("the timeout of a step"),
  },
  refused: {
    ...refusals(UNSUPPORTED_KEYS.step),
    ...refusals(Object.values(UNSUPPORTED_STEP_KINDS).flat(), (key) => `\`${key}\` belongs to another kind of step`),
  },
};
const runStep = object({ ...runStepRule, required: ["run"] });
const stepOfOtherKind = object(runStepRule);

/** The kind of a step follows from its keys; `run` decides when it is there. */
export const step: Check = (value, place) => {
  if (!isMapping(value) || Object.hasOwn(value, "run")) return runStep(value, place);
  for (const [kind, markers] of Object.entries(UNSUPPORTED_STEP_KINDS)) {
    const marks = new Set<string>(markers);
    const marker = Object.keys(value).find((key) => marks.has(key));
    if (marker === undefined) continue;
    // One fault, one message: the other keys of that kind are right once the kind is supported.
    place.child(marker).refuse("unsupported-key", `\`${marker}\` makes ${kind} step; ${notYet("it")}`, { at: "key" });
    return stepOfOtherKind(Object.fromEntries(Object.entries(value).filter(([key]) => !marks.has(key))), place);
  }
  runStep(value, place);
};

const checkFolder = template("the working directory of a step");

/** Refused here so that a typing mistake does not cost a run; the runner checks again, with symbolic links resolved. */
function relativeFolder(value: unknown, place: Place): void {
  checkFolder(value, place);
  if (typeof value !== "string") return;
  if (!value.startsWith("/") && !value.split("/").includes("..")) return;
  const message = `\`${shorten(value)}\` leaves the workspace; give a relative folder without \`..\``;
  place.refuse("invalid-value", message);
}
