import { MAX_RETRIES, MAX_RETRY_FACTOR } from "../limits.ts";
import { check, object, oneOf, oneOrMany, wholeNumber } from "./check.ts";
import { duration } from "./text.ts";

/** What a job is tried again after. Faults of the machine are not the author's and have a bound of their own. */
export const RETRY_CAUSES = ["failure", "timeout"] as const;

const count = wholeNumber(1, MAX_RETRIES);

const backoff = object({
  what: "the backoff of a retry",
  keys: {
    delay: duration("the delay before a retry"),
    factor: wholeNumber(1, MAX_RETRY_FACTOR),
    max: duration("the longest delay before a retry"),
  },
  required: ["delay"],
});

const rules = object({
  what: "a retry",
  keys: { max: count, on: oneOrMany("causes", oneOf("a cause of a retry", RETRY_CAUSES)), backoff },
  required: ["max"],
});

/** A number of retries, or rules for them. */
export const retry = check({ anyOf: [count.schema, rules.schema] }, (value, place) =>
  typeof value === "number" ? count(value, place) : rules(value, place),
);
