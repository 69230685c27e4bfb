import { type Check, entries, isMapping, object, type Place, refuseType } from "./check.ts";
import { chosenKey, isStorable, literal, short, UNSTORABLE } from "./text.ts";
import { notYet } from "./unsupported.ts";

const common = {
  source: literal("the source of a trigger"),
  event: short(literal("the event of a trigger")),
  with: inputs,
};
const required = ["source", "event"];

const manualTrigger = object({
  what: "a manual trigger",
  keys: common,
  required,
  refused: {
    filter: "a manual trigger takes no `filter`: whoever fires it decides",
    config: "a manual trigger takes no `config`",
  },
});

/** Only the source of such a trigger is at fault; the keys that belong to it are left alone. */
const laterTrigger = object({
  what: "a trigger",
  keys: { ...common, filter: () => {}, config: () => {} },
  required,
});

const trigger: Check = (value, place) => {
  const source = isMapping(value) ? value["source"] : undefined;
  if (typeof source !== "string" || source === "" || source === "manual") return manualTrigger(value, place);
  const kind = source === "cron" ? "a cron trigger" : "a trigger from an integration connection";
  const message = `${notYet(kind)}; the only source it listens to is \`manual\``;
  place.child("source").refuse("unsupported-trigger", message);
  laterTrigger(value, place);
};

export const triggers = entries("triggers", chosenKey("the key of a trigger"), trigger);

/** Literal data, never evaluated; anything that JSON can hold. */
function inputs(value: unknown, place: Place): void {
  if (!isMapping(value)) return refuseType(value, place, "a mapping of input names to values");
  checkJson(value, place);
}

function checkJson(value: unknown, place: Place): void {
  if (typeof value === "string" && !isStorable(value)) return place.refuse("invalid-value", `the text ${UNSTORABLE}`);
  if (typeof value === "number" && !Number.isFinite(value)) {
    return place.refuse("invalid-value", `${value} is not a number that JSON can hold`);
  }
  if (typeof value !== "object" || value === null) return;
  const isList = Array.isArray(value);
  for (const [key, child] of Object.entries(value)) {
    const childPlace = place.child(isList ? Number(key) : key);
    if (!isStorable(key)) childPlace.refuse("invalid-value", `the key ${UNSTORABLE}`, { at: "key" });
    checkJson(child, childPlace);
  }
}
