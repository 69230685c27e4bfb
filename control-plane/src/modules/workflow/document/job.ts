import { MAX_OUTPUTS, MAX_PRIORITY } from "../limits.ts";
import { call } from "./call.ts";
import { check, entries, isMapping, list, object, oneOf, oneOrMany, wholeNumber } from "./check.ts";
import { checkout } from "./checkout.ts";
import { concurrency } from "./concurrency.ts";
import { env } from "./env.ts";
import { artifacts, cache } from "./files.ts";
import { image } from "./image.ts";
import { matrix } from "./matrix.ts";
import { retry } from "./retry.ts";
import { services } from "./service.ts";
import { step } from "./step.ts";
import { chosenKey, duration, identifierKey, literal, predicate, short, template } from "./text.ts";
import { listeningTrigger } from "./trigger.ts";
import { refusals, UNSUPPORTED_KEYS } from "./unsupported.ts";

const MAX_COUNT = 2_147_483_647;

export const runner = oneOrMany("runner labels", template("a runner label"));

const eachOutput = entries("outputs", identifierKey("the key of an output"), template("an output"));

/** What a job publishes, or a workflow. */
export const outputs = check({ allOf: [eachOutput.schema], maxProperties: MAX_OUTPUTS }, (value, place) => {
  const count = isMapping(value) ? Object.keys(value).length : 0;
  if (count <= MAX_OUTPUTS) return eachOutput(value, place);
  place.refuse("invalid-value", `${count} outputs are too many; at most ${MAX_OUTPUTS} are allowed`, { at: "key" });
});

const batchKeys = object({
  what: "a batch",
  keys: {
    debounce: duration("the debounce of a batch"),
    max_size: wholeNumber(1, MAX_COUNT),
    max_wait: duration("the longest wait of a batch"),
  },
  schema: { minProperties: 1 },
});

const batch = check(batchKeys.schema, (value, place) => {
  batchKeys(value, place);
  if (!isMapping(value) || Object.keys(value).length > 0) return;
  place.refuse("invalid-value", "a batch needs at least one of `debounce`, `max_size` and `max_wait`");
});

const listening = object({
  what: "a listening job",
  keys: {
    on: list("triggers", listeningTrigger),
    until: list("triggers", listeningTrigger),
    timeout: duration("how long a job listens"),
    max_executions: wholeNumber(1, MAX_COUNT),
    batch,
    on_resolve: oneOf("`on_resolve`", ["finish", "cancel"]),
  },
  required: ["on"],
  schema: { anyOf: [{ required: ["until"] }, { required: ["timeout"] }, { required: ["max_executions"] }] },
});

const jobKeys = {
  name: short(literal("the name of a job")),
  needs: oneOrMany("job keys", literal("a job key")),
  matrix,
  if: template("the condition of a job"),
  runner,
  image: image("the image of a job"),
  services,
  cache,
  artifacts,
  network: oneOf("the network of a job", ["default", "none"]),
  env,
  checkout,
  execution_timeout: duration("the execution timeout of a job"),
  retry,
  concurrency,
  priority: wholeNumber(-MAX_PRIORITY, MAX_PRIORITY),
  execution_name: template("the name of an execution"),
  success: predicate("the success condition of a job"),
  outputs,
  listening,
  steps: list("steps", step),
};

const ownJob = object({
  what: "a job",
  keys: jobKeys,
  required: ["steps"],
  refused: refusals(UNSUPPORTED_KEYS.job),
});

const callingJob = call([...Object.keys(jobKeys), ...UNSUPPORTED_KEYS.job]);

const job = check({ anyOf: [ownJob.schema, callingJob.schema] }, (value, place) =>
  isMapping(value) && Object.hasOwn(value, "uses") ? callingJob(value, place) : ownJob(value, place),
);

export const jobs = entries("jobs", chosenKey("the key of a job"), job);
