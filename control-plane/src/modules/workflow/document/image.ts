import { pullPolicySchema } from "@shipfox/shared/machine";
import { hasExpression } from "../expressions/template.ts";
import { MAX_IMAGE_CHARACTERS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { type Check, check, isMapping, object, refuseType } from "./check.ts";
import { unevaluated } from "./text.ts";
import { refusals } from "./unsupported.ts";

/** `[host[:port]/]path[/path…][:tag][@algorithm:digest]`, the grammar of registries; the runner resolves it. */
const IMAGE_REFERENCE = new RegExp(
  [
    "^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::[0-9]{1,5})?/)?",
    "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*",
    "(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?$",
  ].join(""),
);

/** What a matrix puts into an image; group 1 is the axis. */
export const MATRIX_REFERENCE = /(?<!\$)\$\{\{\s*matrix\.([A-Za-z_]\w*)\s*\}\}/g;

export function isImageReference(text: string): boolean {
  return text.length <= MAX_IMAGE_CHARACTERS && IMAGE_REFERENCE.test(text);
}

const PULL_POLICIES: readonly string[] = pullPolicySchema.options;

const pull = check({ enum: PULL_POLICIES }, (value, place) => {
  if (typeof value === "string" && PULL_POLICIES.includes(value)) return;
  const expected = `one of ${PULL_POLICIES.map((policy) => `\`${policy}\``).join(", ")}`;
  if (typeof value === "string") {
    place.refuse("invalid-value", `\`${shorten(value)}\` is not a pull policy; expected ${expected}`);
  } else refuseType(value, place, expected);
});

/** An image reference, or a mapping of one with its pull policy. `what` names it in messages: "the image of a job". */
export function image(what: string): Check {
  const checkName = reference(what);
  const checkMapping = object({
    what: "an image",
    keys: { name: checkName, pull },
    required: ["name"],
    refused: refusals(["username", "password", "credentials", "auth"], () => NO_PASSWORDS),
  });
  return check({ anyOf: [checkName.schema, checkMapping.schema] }, (value, place) =>
    isMapping(value) ? checkMapping(value, place) : checkName(value, place),
  );
}

const NO_PASSWORDS =
  "credentials of a registry never stand in a workflow; store them with `shipfox registries add <host>`";

function reference(what: string): Check {
  const checkText = unevaluated(what);
  return check({ type: "string", minLength: 1, maxLength: MAX_IMAGE_CHARACTERS }, (value, place) => {
    // A value of a matrix is put in before anything else looks at the image, and is checked then.
    const known = typeof value === "string" ? value.replaceAll(MATRIX_REFERENCE, "x") : value;
    checkText(known, place);
    if (typeof value !== "string" || typeof known !== "string" || known === "" || hasExpression(known)) return;
    if (known === value ? isImageReference(value) : value.length <= MAX_IMAGE_CHARACTERS) return;
    const expected = `one such as \`node:24\` or \`registry.example:5000/team/app:1.2\`, at most ${MAX_IMAGE_CHARACTERS} characters`;
    place.refuse("invalid-value", `\`${shorten(value)}\` is not an image reference; expected ${expected}`);
  });
}
