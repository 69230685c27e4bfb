import { HARNESSES, THINKING_LEVELS } from "../agent-catalog.ts";
import { hasExpression } from "../expressions/template.ts";
import { shorten } from "../shorten.ts";
import { check, isMapping, list, object, oneOf, yesOrNo } from "./check.ts";
import { checkoutTarget } from "./checkout.ts";
import { env } from "./env.ts";
import { stepOutputs } from "./output.ts";
import { duration, literal, predicate, short, template } from "./text.ts";
import { refusals, renamed, UNSUPPORTED_KEYS } from "./unsupported.ts";

/** Keys that make a step one of a kind; `run` decides when it is there. */
const MARKERS = {
  run: ["run"],
  checkout: ["checkout"],
  agent: ["prompt", "model", "provider", "thinking", "harness", "tools", "integrations"],
} as const;
type StepKind = keyof typeof MARKERS;

const onFailure = object({
  what: "`on_failure` of a gate",
  keys: {
    restart_from: literal("the step to restart from"),
    feedback: template("the feedback of a gate"),
  },
  required: ["restart_from"],
  refused: { output: renamed("feedback", (text) => `feedback: ${JSON.stringify(text)}`) },
});

const gateKeys = object({
  what: "a gate",
  keys: { success: predicate("the success condition of a gate"), on_failure: onFailure },
  refused: {
    success_if: renamed("success", (text) => `success: ${text.replaceAll(/(?<![\w.])exit_code\b/g, "step.exit_code")}`),
  },
  schema: { minProperties: 1 },
});

const gate = check(gateKeys.schema, (value, place) => {
  gateKeys(value, place);
  if (!isMapping(value) || Object.keys(value).length > 0) return;
  place.refuse("invalid-value", "a gate needs `success` or `on_failure`, or both");
});

const checkFolder = template("the working directory of a step");

/** Refused here so that a typing mistake does not cost a run; the runner checks again, with symbolic links resolved. */
const relativeFolder = check(checkFolder.schema, (value, place) => {
  checkFolder(value, place);
  if (typeof value !== "string") return;
  if (!value.startsWith("/") && !value.split("/").includes("..")) return;
  const message = `\`${shorten(value)}\` leaves the workspace; give a relative folder without \`..\``;
  place.refuse("invalid-value", message);
});

const checkThinking = template("the thinking level of an agent");
const isLevel = oneOf("the thinking level of an agent", THINKING_LEVELS);

const thinking = check({ anyOf: [isLevel.schema, { type: "string", pattern: "\\$\\{\\{" }] }, (value, place) => {
  if (typeof value === "string" && !hasExpression(value)) isLevel(value, place);
  else checkThinking(value, place);
});

const tokens = list("tools", literal("a tool"));

const integration = object({
  what: "an integration",
  keys: {
    connection: literal("the connection of an integration"),
    include: tokens,
    exclude: tokens,
    allow_write: yesOrNo,
  },
  required: ["include"],
});

const commonKeys = {
  key: short(literal("the key of a step")),
  name: short(template("the name of a step")),
  if: template("the condition of a step"),
  gate,
  outputs: stepOutputs,
  working_directory: relativeFolder,
};

const ownKeys = {
  run: { run: template("the command of a step"), env, timeout: duration("the timeout of a step") },
  checkout: { checkout: checkoutTarget },
  agent: {
    prompt: template("the prompt of an agent"),
    model: template("the model of an agent"),
    provider: template("the provider of an agent"),
    thinking,
    harness: oneOf("the harness of an agent", HARNESSES),
    tools: tokens,
    integrations: list("integrations", integration),
  },
};

const reserved = refusals(
  ["agent"],
  () => "`agent` is a reserved word for reusable agents, which this version does not support yet; write `prompt` here",
);

const TITLES: Record<StepKind, string> = { run: "a run step", checkout: "a checkout step", agent: "an agent step" };
const REQUIRED: Record<StepKind, string> = { run: "run", checkout: "checkout", agent: "prompt" };

function stepRule(kind: StepKind) {
  const keys = { ...commonKeys, ...ownKeys[kind] };
  const foreign = Object.values(ownKeys)
    .flatMap((own) => Object.keys(own))
    .filter((key) => !Object.hasOwn(keys, key));
  return object({
    what: TITLES[kind],
    keys,
    required: [REQUIRED[kind]],
    refused: {
      ...refusals(UNSUPPORTED_KEYS.step),
      ...refusals(foreign, (key) => `${TITLES[kind]} cannot have \`${key}\`, which belongs to another kind of step`),
      ...reserved,
    },
  });
}

const rules = { run: stepRule("run"), checkout: stepRule("checkout"), agent: stepRule("agent") };

/** Without any marker no kind is better than another: all keys are known, and one is missing. */
const anyKind = object({
  what: "a step",
  keys: { ...commonKeys, ...ownKeys.run, ...ownKeys.checkout, ...ownKeys.agent },
  refused: { ...refusals(UNSUPPORTED_KEYS.step), ...reserved },
});

export const step = check({ anyOf: Object.values(rules).map(({ schema }) => schema) }, (value, place) => {
  if (!isMapping(value)) return anyKind(value, place);
  const kind = (Object.keys(MARKERS) as StepKind[]).find((name) =>
    MARKERS[name].some((marker) => Object.hasOwn(value, marker)),
  );
  if (kind) return rules[kind](value, place);
  anyKind(value, place);
  if (!hasOtherFault(value)) place.refuse("missing-key", "a step needs `run`, `prompt` or `checkout`");
});

/** A misspelt or reserved key is probably the one that is missing. */
function hasOtherFault(value: Record<string, unknown>): boolean {
  return Object.keys(value).some((key) => !Object.hasOwn(commonKeys, key) && key !== "env" && key !== "timeout");
}
