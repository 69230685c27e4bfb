import { hasExpression } from "../expressions.ts";
import { MAX_IMAGE_CHARACTERS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { entries, isMapping, list, object, oneOrMany, type Place, refuseType } from "./check.ts";
import { env } from "./env.ts";
import { step } from "./step.ts";
import { chosenKey, duration, literal, short, template } from "./text.ts";
import { notYet, refusals, UNSUPPORTED_KEYS } from "./unsupported.ts";

export const runner = oneOrMany("runner labels", template("a runner label"));

const job = object({
  what: "a job",
  keys: {
    name: short(literal("the name of a job")),
    needs: oneOrMany("job keys", literal("a job key")),
    runner,
    image,
    env,
    checkout,
    execution_timeout: duration("the execution timeout of a job"),
    steps: list("steps", step),
  },
  required: ["steps"],
  refused: refusals(UNSUPPORTED_KEYS.job),
});

export const jobs = entries("jobs", chosenKey("the key of a job"), job);

/** `[host[:port]/]path[/path…][:tag][@algorithm:digest]`, the grammar of registries; the runner resolves it. */
const IMAGE_REFERENCE = new RegExp(
  [
    "^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?/)?",
    "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*",
    "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$",
  ].join(""),
);

const checkImage = template("the image of a job");

function image(value: unknown, place: Place): void {
  checkImage(value, place);
  if (typeof value !== "string" || value === "" || hasExpression(value)) return;
  if (value.length <= MAX_IMAGE_CHARACTERS && IMAGE_REFERENCE.test(value)) return;
  const expected = `one such as \`node:24\` or \`registry.example:5000/team/app:1.2\`, at most ${MAX_IMAGE_CHARACTERS} characters`;
  place.refuse("invalid-value", `\`${shorten(value)}\` is not an image reference; expected ${expected}`);
}

function checkout(value: unknown, place: Place): void {
  if (value === false) return;
  if (isMapping(value)) {
    const message = `${notYet("a job's `checkout` with settings")}; leave it out to get the repository, or write \`false\``;
    return place.refuse("unsupported-key", message, { at: "key" });
  }
  if (value === true) {
    const message = "a job gets the repository unless it says `checkout: false`; leave the key out";
    return place.refuse("invalid-value", message);
  }
  refuseType(value, place, "`false`, the only value of a job's `checkout`");
}
