import { MAX_CHOICES, MAX_DESCRIPTION_CHARACTERS, MAX_INPUTS, MAX_TRIGGERS } from "../limits.ts";
import { WORKFLOW_SOURCE } from "../run-ends.ts";
import { shorten } from "../shorten.ts";
import { check, entries, isMapping, list, object, oneOf, type Place, refuseType, yesOrNo } from "./check.ts";
import { chosenKey, identifierKey, isStorable, literal, predicate, short, UNSTORABLE } from "./text.ts";
import { refusals, renamed } from "./unsupported.ts";

/** Literal data, never evaluated; anything that JSON can hold. */
const inputValues = check({ type: "object" }, (value, place) => {
  if (!isMapping(value)) return refuseType(value, place, "a mapping of input names to values");
  checkJson(value, place);
});

const commonKeys = {
  source: literal("the source of a trigger"),
  event: short(literal("the event of a trigger")),
  with: inputValues,
  filter: predicate("the filter of a trigger"),
};
const required = ["source", "event"];

const INPUT_TYPES = ["string", "number", "boolean", "choice"] as const;

const anyJson = check(true, checkJson);

const inputDeclaration = object({
  what: "an input",
  keys: {
    type: oneOf("the type of an input", INPUT_TYPES),
    description: short(literal("the description of an input"), MAX_DESCRIPTION_CHARACTERS),
    required: yesOrNo,
    default: anyJson,
    options: list("options", short(literal("an option"))),
  },
  required: ["type"],
});

const input = check(inputDeclaration.schema, (value, place) => {
  inputDeclaration(value, place);
  if (isMapping(value)) checkInput(value, place);
});

const eachInput = entries("inputs", identifierKey("the key of an input"), input);

/** What a workflow takes from who fires or calls it. */
export const inputs = check({ allOf: [eachInput.schema], maxProperties: MAX_INPUTS }, (value, place) => {
  const count = isMapping(value) ? Object.keys(value).length : 0;
  if (count <= MAX_INPUTS) return eachInput(value, place);
  place.refuse("invalid-value", `${count} inputs are too many; at most ${MAX_INPUTS} are allowed`, { at: "key" });
});

function checkInput({ type, options, default: preset }: Record<string, unknown>, place: Place): void {
  if (type === "choice" && options === undefined) {
    place.child("options").refuse("missing-key", "an input of type `choice` needs the key `options`", { at: "key" });
  }
  if (type !== "choice" && options !== undefined) {
    place.child("options").refuse("invalid-value", "only an input of type `choice` has `options`", { at: "key" });
  }
  if (Array.isArray(options)) {
    if (options.length > MAX_CHOICES) {
      place.child("options").refuse("invalid-value", `${options.length} options are too many; at most ${MAX_CHOICES}`);
    }
    for (const [index, option] of options.entries()) {
      if (options.indexOf(option) === index) continue;
      place
        .child("options")
        .child(index)
        .refuse("invalid-value", `\`${shorten(String(option))}\` stands twice here`);
    }
  }
  if (preset === undefined) return;
  const at = place.child("default");
  if (type === "choice" && Array.isArray(options) && !options.includes(preset)) {
    at.refuse("invalid-value", `the default of an input must be one of its options`);
  } else if ((type === "string" || type === "number" || type === "boolean") && typeof preset !== type) {
    refuseType(preset, at, `a ${type} as the default of this input`);
  }
}

const config = object({
  what: "the settings of a cron trigger",
  keys: { schedule: literal("a schedule"), timezone: literal("a time zone") },
});

const runEndConfig = object({
  what: "the settings of a workflow trigger",
  keys: { workflow: literal("the name or the path of a workflow") },
  required: ["workflow"],
});

const notConfigurable = refusals(
  ["config"],
  () => "only a trigger with `source: cron` or `source: workflow` takes a `config`",
);
const onlyByHand = refusals(["inputs"], () => "only a manual trigger declares `inputs`; others give them by `with`");

const manualTrigger = object({
  what: "a manual trigger",
  keys: { ...commonKeys, inputs },
  required,
  refused: notConfigurable,
  schema: { properties: { ...schemas({ ...commonKeys, inputs }), source: { const: "manual" } } },
});

const cronTrigger = object({
  what: "a cron trigger",
  keys: { ...commonKeys, config },
  required,
  refused: {
    ...onlyByHand,
    schedule: renamed("config", (text) => `config: { schedule: ${JSON.stringify(text)} }`),
    timezone: renamed("config", (text) => `config: { timezone: ${JSON.stringify(text)} }`),
  },
  schema: { properties: { ...schemas({ ...commonKeys, config }), source: { const: "cron" } } },
});

const workflowTrigger = object({
  what: "a workflow trigger",
  keys: { ...commonKeys, config: runEndConfig },
  required: [...required, "config"],
  refused: onlyByHand,
  schema: { properties: { ...schemas({ ...commonKeys, config: runEndConfig }), source: { const: WORKFLOW_SOURCE } } },
});

const connectionTrigger = object({
  what: "a trigger",
  keys: commonKeys,
  required,
  refused: { ...notConfigurable, ...onlyByHand },
  schema: {
    properties: {
      ...schemas(commonKeys),
      source: { type: "string", minLength: 1, not: { enum: ["manual", "cron", WORKFLOW_SOURCE] } },
    },
  },
});

/** What a listening job waits for: a trigger without settings of its own. */
export const listeningTrigger = object({
  what: "a trigger of a listening job",
  keys: commonKeys,
  required,
  refused: { ...notConfigurable, ...onlyByHand },
});

const trigger = check(
  { anyOf: [manualTrigger, cronTrigger, workflowTrigger, connectionTrigger].map(({ schema }) => schema) },
  (value, place) => {
    const source = isMapping(value) ? value["source"] : undefined;
    if (source === "manual") return manualTrigger(value, place);
    if (source === WORKFLOW_SOURCE) return workflowTrigger(value, place);
    return source === "cron" ? cronTrigger(value, place) : connectionTrigger(value, place);
  },
);

const eachTrigger = entries("triggers", chosenKey("the key of a trigger"), trigger);

export const triggers = check({ allOf: [eachTrigger.schema], maxProperties: MAX_TRIGGERS }, (value, place) => {
  const count = isMapping(value) ? Object.keys(value).length : 0;
  if (count <= MAX_TRIGGERS) return eachTrigger(value, place);
  place.refuse("invalid-value", `${count} triggers are too many; at most ${MAX_TRIGGERS} are allowed`, { at: "key" });
});

function schemas(keys: Readonly<Record<string, { schema: unknown }>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(keys).map(([key, { schema }]) => [key, schema]));
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
