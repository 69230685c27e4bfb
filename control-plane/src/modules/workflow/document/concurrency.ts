import { check, isMapping, object, oneOf } from "./check.ts";
import { template } from "./text.ts";

const group = template("a concurrency group");
const rules = object({
  what: "`concurrency`",
  keys: { group, on_busy: oneOf("`on_busy`", ["queue", "replace"]) },
  required: ["group"],
});

/** The name of a group, or rules for it. */
export const concurrency = check({ anyOf: [group.schema, rules.schema] }, (value, place) =>
  isMapping(value) ? rules(value, place) : group(value, place),
);
