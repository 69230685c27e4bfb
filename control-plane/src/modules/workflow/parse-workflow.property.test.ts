import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { parseWorkflow } from "./public.ts";
import { wholeWorkflow } from "./whole-workflow.fixture.ts";

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
  const whole = wholeWorkflow.map(({ top, jobs }) => stringify({ ...top, jobs: new Map(jobs) }));
  const original = fc.oneof(fc.constantFrom(...originals), whole);
  const mutated = fc.tuple(original, fc.array(edit, { minLength: 1, maxLength: 6 })).map(([text, edits]) =>
    edits.reduce((current, { at, remove, insert }) => {
      const offset = Math.floor(at * current.length);
      return current.slice(0, offset) + insert + current.slice(offset + remove);
    }, text),
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
