import { MAX_INPUTS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { type Check, check, entries, isMapping, object, oneOrMany, type Refusal, refuseType } from "./check.ts";
import { matrix } from "./matrix.ts";
import { identifierKey, isStorable, literal, short, template, UNSTORABLE } from "./text.ts";
import { refusals } from "./unsupported.ts";

const LOCAL_FILE = /^\.\/(\.shipfox\/workflows\/(?:[^/\\@]+\/)*[^/\\@]+\.ya?ml)$/;
const MAX_PATH_CHARACTERS = 512;

/** The path of a called file from the root of its repository; null when `uses` names none of this repository. */
export function calledPath(uses: string): string | null {
  const path = LOCAL_FILE.exec(uses)?.[1];
  return path?.split("/").some((part) => part === "." || part === "..") === false ? path : null;
}

const text = short(literal("the workflow that a job calls"), MAX_PATH_CHARACTERS);

const uses = check({ ...(text.schema as object), pattern: LOCAL_FILE.source }, (value, place) => {
  text(value, place);
  if (typeof value !== "string" || value === "" || calledPath(value) !== null) return;
  const advice = "write the path of a file of this repository, such as `./.shipfox/workflows/deploy.yml`";
  place.refuse("invalid-value", `a job can call a workflow of its own repository and commit; ${advice}`);
});

const inputText = template("an input");
const input = check({ type: ["string", "number", "boolean"] }, (value, place) => {
  if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return;
  if (typeof value !== "string") return refuseType(value, place, "a text, a number, `true` or `false`");
  if (value === "") return;
  if (isStorable(value)) inputText(value, place);
  else place.refuse("invalid-value", `an input ${UNSTORABLE}`);
});

const eachInput = entries("inputs", identifierKey("the key of an input"), input);

const inputs = check({ allOf: [eachInput.schema], maxProperties: MAX_INPUTS }, (value, place) => {
  const count = isMapping(value) ? Object.keys(value).length : 0;
  if (count <= MAX_INPUTS) return eachInput(value, place);
  place.refuse("invalid-value", `${count} inputs are too many; at most ${MAX_INPUTS} are allowed`, { at: "key" });
});

const SECRETS: Refusal = {
  code: "unsupported-key",
  message: "the called workflow has the secrets of the project as it is; leave `secrets` out",
};

/** A job that calls another workflow. `ofJobs` are the keys that other jobs have. */
export function call(ofJobs: readonly string[]): Check {
  const keys = {
    name: short(literal("the name of a job")),
    needs: oneOrMany("job keys", literal("a job key")),
    matrix,
    if: template("the condition of a job"),
    uses,
    with: inputs,
  };
  const others = ofJobs.filter((key) => !Object.hasOwn(keys, key));
  return object({
    what: "a job that calls a workflow",
    keys,
    required: ["uses"],
    refused: { ...refusals(others, ofCalled), secrets: SECRETS },
  });
}

function ofCalled(key: string): string {
  return `a job that calls a workflow has no \`${shorten(key)}\`: the jobs of the called workflow say that for themselves`;
}
