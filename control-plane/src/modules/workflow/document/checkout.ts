import { MAX_FETCH_DEPTH } from "../limits.ts";
import { check, isMapping, object, oneOf, type Place, refuseType, yesOrNo } from "./check.ts";
import { template } from "./text.ts";
import { refusals } from "./unsupported.ts";

const TARGET_KEYS = ["project", "connection", "repository", "ref", "path", "force"];

const fetchDepth = check({ type: "integer", minimum: 0, maximum: MAX_FETCH_DEPTH }, (value, place) => {
  if (typeof value !== "number") return refuseType(value, place, "a number of commits; 0 is the whole history");
  if (Number.isInteger(value) && value >= 0 && value <= MAX_FETCH_DEPTH) return;
  place.refuse(
    "invalid-value",
    `\`${value}\` is not a number of commits from 0 (the whole history) to ${MAX_FETCH_DEPTH}`,
  );
});

/** What a job's own checkout and a checkout step have in common. */
const commonKeys = {
  permissions: object({
    what: "the permissions of a checkout",
    keys: { contents: oneOf("the permission for contents", ["read", "write"]) },
  }),
  "persist-credentials": yesOrNo,
  "fetch-depth": fetchDepth,
};

const settings = object({
  what: "a job's checkout",
  keys: { ...commonKeys, submodules: oneOf("`submodules`", [true, false, "recursive"]), lfs: yesOrNo },
  refused: refusals(
    TARGET_KEYS,
    (key) =>
      `a job's own checkout is always the project's repository at the commit of the run; \`${key}\` belongs to a checkout step`,
  ),
});

/** `false`, or settings for the checkout that every job starts with. */
export const checkout = check({ anyOf: [{ const: false }, settings.schema] }, (value, place) => {
  if (value === false) return;
  if (isMapping(value)) return settings(value, place);
  if (value === true) {
    const message = "a job gets the repository unless it says `checkout: false`; leave the key out";
    return place.refuse("invalid-value", message);
  }
  refuseType(value, place, "`false` or a mapping of settings");
});

const target = object({
  what: "a checkout step",
  keys: {
    project: template("the project of a checkout"),
    connection: template("the connection of a checkout"),
    repository: template("the repository of a checkout"),
    ref: template("the ref of a checkout"),
    path: template("the path of a checkout"),
    force: yesOrNo,
    ...commonKeys,
  },
  schema: {
    dependentRequired: { connection: ["repository"] },
    not: { required: ["project"], anyOf: [{ required: ["connection"] }, { required: ["repository"] }] },
  },
});

/** What a checkout step fetches and where it puts it; `{}` is the project's repository. */
export const checkoutTarget = check(target.schema, (value, place) => {
  target(value, place);
  if (isMapping(value)) refuseTarget(value, place);
});

function refuseTarget(value: Record<string, unknown>, place: Place): void {
  if (Object.hasOwn(value, "project")) {
    for (const key of ["connection", "repository"].filter((name) => Object.hasOwn(value, name))) {
      const message = `\`${key}\` cannot stand beside \`project\`, which already says what to check out; keep one of them`;
      place.child(key).refuse("checkout-target-invalid", message, { at: "key" });
    }
  } else if (Object.hasOwn(value, "connection") && !Object.hasOwn(value, "repository")) {
    const message = "a checkout through a `connection` needs the key `repository`";
    place.child("repository").refuse("checkout-target-invalid", message, { at: "key" });
  }
}
