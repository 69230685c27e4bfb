import { MAX_FETCH_DEPTH } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { type Check, isMapping, object, type Place, refuseType } from "./check.ts";

/** `false`, or settings for the checkout that every job starts with. */
export function checkout(value: unknown, place: Place): void {
  if (value === false) return;
  if (isMapping(value)) return settings(value, place);
  if (value === true) {
    const message = "a job gets the repository unless it says `checkout: false`; leave the key out";
    return place.refuse("invalid-value", message);
  }
  refuseType(value, place, "`false` or a mapping of settings");
}

const TARGET_KEYS = ["project", "connection", "repository", "ref", "path", "force"];

const settings = object({
  what: "a job's checkout",
  keys: {
    permissions: object({
      what: "the permissions of a checkout",
      keys: { contents: oneOf("the permission for contents", ["read", "write"]) },
    }),
    "persist-credentials": yesOrNo,
    "fetch-depth": fetchDepth,
    submodules: oneOf("`submodules`", [true, false, "recursive"]),
    lfs: yesOrNo,
  },
  refused: Object.fromEntries(
    TARGET_KEYS.map((key) => [
      key,
      `a job's own checkout is always the project's repository at the commit of the run; \`${key}\` belongs to a checkout step`,
    ]),
  ),
});

function yesOrNo(value: unknown, place: Place): void {
  if (typeof value !== "boolean") refuseType(value, place, "`true` or `false`");
}

function fetchDepth(value: unknown, place: Place): void {
  if (typeof value !== "number") return refuseType(value, place, "a number of commits; 0 is the whole history");
  if (Number.isInteger(value) && value >= 0 && value <= MAX_FETCH_DEPTH) return;
  place.refuse(
    "invalid-value",
    `\`${value}\` is not a number of commits from 0 (the whole history) to ${MAX_FETCH_DEPTH}`,
  );
}

function oneOf(what: string, choices: readonly (string | boolean)[]): Check {
  const expected = choices.map((choice) => `\`${choice}\``).join(", ");
  return (value, place) => {
    if (choices.some((choice) => choice === value)) return;
    if (typeof value !== "string") return refuseType(value, place, `one of ${expected}`);
    place.refuse("invalid-value", `${what} may be ${expected}; found \`${shorten(value)}\``);
  };
}
