import { shorten } from "../shorten.ts";
import { entries, list, object, oneOrMany, type Place, refuseType } from "./check.ts";
import { checkout } from "./checkout.ts";
import { env } from "./env.ts";
import { image } from "./image.ts";
import { services } from "./service.ts";
import { step } from "./step.ts";
import { chosenKey, duration, literal, short, template } from "./text.ts";
import { refusals, UNSUPPORTED_KEYS } from "./unsupported.ts";

export const runner = oneOrMany("runner labels", template("a runner label"));

const job = object({
  what: "a job",
  keys: {
    name: short(literal("the name of a job")),
    needs: oneOrMany("job keys", literal("a job key")),
    runner,
    image: image("the image of a job"),
    services,
    network,
    env,
    checkout,
    execution_timeout: duration("the execution timeout of a job"),
    steps: list("steps", step),
  },
  required: ["steps"],
  refused: refusals(UNSUPPORTED_KEYS.job),
});

export const jobs = entries("jobs", chosenKey("the key of a job"), job);

function network(value: unknown, place: Place): void {
  if (value === "none" || value === "default") return;
  if (typeof value !== "string") return refuseType(value, place, "`none` or `default`");
  place.refuse("invalid-value", `\`${shorten(value)}\` is not a network of a job; expected \`none\` or \`default\``);
}
