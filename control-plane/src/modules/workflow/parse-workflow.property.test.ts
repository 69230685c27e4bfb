import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { parseWorkflow } from "./public.ts";

const text = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter((value) => !/\0|\$\{\{/.test(value) && value.isWellFormed());
/** YAML knows -0, JSON does not; the key `<<` is no key in YAML. */
const json = fc
  .jsonValue()
  .filter((value) => !JSON.stringify(value).includes('"<<"'))
  .map((value): unknown => JSON.parse(JSON.stringify(value)));
const envName = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,9}$/);
const env = fc.dictionary(envName, fc.oneof(text, fc.integer(), fc.boolean()), { maxKeys: 4 });
const label = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,9}$/);
const labels = fc.oneof(label, fc.array(label, { minLength: 1, maxLength: 5 }));
const duration = fc.integer({ min: 1, max: 59 }).chain((count) => fc.constantFrom(`${count}s`, `${count}m`));
const folder = fc
  .array(fc.stringMatching(/^[a-z]{1,5}$/), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));

const step = fc.record(
  { run: text, name: text, env, working_directory: folder, timeout: duration },
  { requiredKeys: ["run"] },
);

const job = fc.record(
  {
    steps: fc.array(step, { minLength: 1, maxLength: 3 }),
    name: text,
    runner: labels,
    image: fc.constantFrom("node", "node:24", "registry.example:5000/a/b"),
    network: fc.constantFrom("none", "default"),
    env,
    checkout: fc.oneof(
      fc.constant(false),
      fc.record(
        {
          "fetch-depth": fc.nat(),
          submodules: fc.constantFrom(true, false, "recursive"),
          lfs: fc.boolean(),
          "persist-credentials": fc.boolean(),
          permissions: fc.record({ contents: fc.constantFrom("read", "write") }),
        },
        { requiredKeys: [] },
      ),
    ),
    execution_timeout: duration,
  },
  { requiredKeys: ["steps"] },
);

/** A job may need the jobs before it, so there is no cycle; integer-like keys test the order. */
const jobs = fc
  .uniqueArray(fc.oneof(fc.stringMatching(/^[a-z]{1,6}$/), fc.nat({ max: 99 }).map(String)), {
    minLength: 1,
    maxLength: 5,
  })
  .chain((keys) =>
    fc.tuple(
      ...keys.map((key, index) =>
        fc
          .tuple(job, fc.subarray(keys.slice(0, index)))
          .map(([body, needs]) => [key, needs.length > 0 ? { ...body, needs } : body] as const),
      ),
    ),
  );

const workflow = fc.record({
  name: text,
  runner: labels,
  env,
  triggers: fc.record({
    by_hand: fc.record({ source: fc.constant("manual"), event: text, with: fc.dictionary(text, json) }),
  }),
  jobs,
});

describe("any workflow made by the rules", () => {
  it("parses, keeps its document and its order, and gives the same model again when written out", () => {
    fc.assert(
      fc.property(workflow, (authored) => {
        const yaml = stringify({ ...authored, jobs: new Map(authored.jobs) });
        const result = parseWorkflow(yaml);
        if (!result.ok) throw new Error(`${yaml}\n${JSON.stringify(result.diagnostics)}`);
        const document = { ...authored, jobs: Object.fromEntries(authored.jobs) };
        expect(JSON.parse(JSON.stringify(result.document))).toEqual(JSON.parse(JSON.stringify(document)));
        expect(result.model.jobs.map((model) => model.key)).toEqual(authored.jobs.map(([key]) => key));
        for (const [index, [, body]] of authored.jobs.entries()) {
          expect(result.model.jobs[index]?.steps.map((model) => "run" in model && model.run)).toEqual(
            body.steps.map((one) => one.run),
          );
        }
        const asJson = parseWorkflow(JSON.stringify({ ...authored, jobs: Object.fromEntries(authored.jobs) }));
        expect(asJson.ok && withoutPlaces(asJson.model)).toEqual(withoutPlaces(result.model));
      }),
      { numRuns: 100 },
    );
  });
});

/** JSON has one line, and puts integer-like keys first. */
function withoutPlaces(model: { jobs: { key: string; steps: { sourceLocation: unknown }[] }[] }): unknown {
  const byKey = model.jobs.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  return {
    ...model,
    jobs: byKey.map((one) => ({ ...one, steps: one.steps.map((two) => ({ ...two, sourceLocation: null })) })),
  };
}

describe("any text", () => {
  const folder = new URL("./fixtures/", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".yml"));
  const originals = files.map((name) => readFileSync(new URL(name, folder), "utf8"));

  const syntax = [
    "\n",
    " ",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "|",
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "!!",
    "%",
    "#",
    "\t",
    "\0",
    "${{",
    "---\n",
    "null",
  ];
  const insertion = fc.oneof(fc.constantFrom(...syntax), fc.string({ unit: "binary", maxLength: 5 }));
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    remove: fc.nat({ max: 12 }),
    insert: insertion,
  });
  const mutated = fc
    .tuple(fc.constantFrom(...originals), fc.array(edit, { minLength: 1, maxLength: 6 }))
    .map(([original, edits]) =>
      edits.reduce((current, { at, remove, insert }) => {
        const offset = Math.floor(at * current.length);
        return current.slice(0, offset) + insert + current.slice(offset + remove);
      }, original),
    );

  it("is either a workflow or is refused with places inside the text; nothing throws", () => {
    fc.assert(
      fc.property(
        fc.oneof({ weight: 5, arbitrary: mutated }, { weight: 1, arbitrary: fc.string({ unit: "binary" }) }),
        (yaml) => {
          const result = parseWorkflow(yaml);
          if (result.ok) return void JSON.stringify(result);
          expect(result.diagnostics.length).toBeGreaterThan(0);
          const lineCount = yaml.split("\n").length;
          for (const { line, column, message } of result.diagnostics) {
            expect(line).toBeGreaterThanOrEqual(1);
            expect(line).toBeLessThanOrEqual(lineCount);
            expect(column).toBeGreaterThanOrEqual(1);
            expect(message).not.toBe("");
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
