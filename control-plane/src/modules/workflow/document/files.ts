import {
  ARTIFACT_NAME,
  ARTIFACT_NAME_RULE,
  CACHE_KEY,
  CACHE_KEY_RULE,
  MAX_ARTIFACT_NAME_CHARS,
  MAX_RESTORE_KEYS,
} from "@shipfox/shared/machine-files";
import { hasExpression } from "../expressions/template.ts";
import {
  MAX_ARTIFACTS,
  MAX_CACHE_KEY_CHARACTERS,
  MAX_CACHES,
  MAX_FILE_PATH_CHARACTERS,
  MAX_FILE_PATHS,
} from "../limits.ts";
import { shorten } from "../shorten.ts";
import { type Check, check, isMapping, list, object, oneOf } from "./check.ts";
import { duration, literal, short, unevaluated } from "./text.ts";

/** A path inside the workspace; with `globs`, `*` and `?` stand for what lies in one folder. */
function path(what: string, { globs }: { globs: boolean }): Check {
  const text = short(unevaluated(what), MAX_FILE_PATH_CHARACTERS);
  return check(text.schema, (value, place) => {
    text(value, place);
    if (typeof value !== "string") return;
    const refuse = (message: string) => place.refuse("invalid-value", `${what} ${message}`);
    if (/[\p{Cc}\\]/u.test(value)) refuse("may hold no control characters and no `\\`");
    else if (value.startsWith("/") || value.startsWith("~")) refuse("is relative to the workspace");
    else if (value.split("/").includes("..")) refuse("may not leave the workspace: leave out `..`");
    else if (value.includes("**")) refuse("has no `**`; name the folder, which takes along all that is in it");
    else if (!globs && /[*?]/.test(value)) refuse("names one file or folder, without `*` and `?`");
  });
}

/** A list that may have only so many items. */
function boundedList(what: string, item: Check, max: number): Check {
  const each = list(what, item);
  return check({ allOf: [each.schema], maxItems: max }, (value, place) => {
    if (!Array.isArray(value) || value.length <= max) return each(value, place);
    place.refuse("invalid-value", `${value.length} ${what} are too many; at most ${max} are allowed`);
  });
}

function matching(inner: Check, form: RegExp, what: string, rule: string): Check {
  return check({ allOf: [inner.schema], pattern: form.source }, (value, place) => {
    inner(value, place);
    if (typeof value !== "string" || value === "" || hasExpression(value) || form.test(value)) return;
    place.refuse("invalid-value", `${what} is made of ${rule}; found \`${shorten(value)}\``);
  });
}

const artifactName = matching(
  short(unevaluated("the name of an artifact"), MAX_ARTIFACT_NAME_CHARS),
  ARTIFACT_NAME,
  "the name of an artifact",
  ARTIFACT_NAME_RULE,
);

const cacheKey = (what: string) =>
  matching(short(unevaluated(what), MAX_CACHE_KEY_CHARACTERS), CACHE_KEY, what, CACHE_KEY_RULE);

const paths = boundedList("paths", path("a path", { globs: true }), MAX_FILE_PATHS);

const oneCache = object({
  what: "a cache",
  keys: {
    key: cacheKey("the key of a cache"),
    hash_files: boundedList("files", path("a file to hash", { globs: false }), MAX_FILE_PATHS),
    paths,
    restore_keys: boundedList("restore keys", cacheKey("a restore key"), MAX_RESTORE_KEYS),
  },
  required: ["key", "paths"],
});

const someCaches = boundedList("caches", oneCache, MAX_CACHES);

/** What a job keeps for the next run. */
export const cache = check({ anyOf: [oneCache.schema, someCaches.schema] }, (value, place) =>
  Array.isArray(value) ? someCaches(value, place) : oneCache(value, place),
);

const upload = object({
  what: "an artifact",
  keys: {
    name: artifactName,
    paths,
    retention: duration("how long an artifact is kept"),
    if_missing: oneOf("`if_missing`", ["fail", "ignore"]),
    when: oneOf("`when`", ["success", "always"]),
  },
  required: ["name", "paths"],
});

const download = object({
  what: "an artifact",
  keys: {
    job: literal("the key of a job"),
    name: artifactName,
    path: path("the folder for an artifact", { globs: false }),
  },
  required: ["job", "name"],
});

const bothWays = object({
  what: "the artifacts of a job",
  keys: {
    upload: boundedList("artifacts", upload, MAX_ARTIFACTS),
    download: boundedList("artifacts", download, MAX_ARTIFACTS),
  },
  schema: { minProperties: 1 },
});

/** What a job leaves, and what it gets of the jobs that it needs. */
export const artifacts = check(bothWays.schema, (value, place) => {
  bothWays(value, place);
  if (!isMapping(value) || Object.keys(value).length > 0) return;
  place.refuse("invalid-value", "the artifacts of a job are its `upload`, its `download` or both");
});
