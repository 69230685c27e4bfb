import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { DRIVERS } from "../drivers/registry.ts";
import { templatesFileSchema } from "./json-schema.ts";
import { describeFault, readTemplatesFile } from "./read-templates-file.ts";

const PAGE = readFileSync(new URL("../../../docs/provisioner.md", import.meta.url), "utf8");
/** Those that are whole files. */
const EXAMPLES = [...PAGE.matchAll(/```yaml\n([^]*?)```/g)]
  .map(([, text = ""]) => text)
  .filter((text) => /^(templates|matrix):/m.test(text));
const validate = new Ajv({ strictTypes: false, strictRequired: false, formats: { uri: true } }).compile(
  templatesFileSchema(DRIVERS),
);

it("finds the examples of the page", () => {
  expect(EXAMPLES.length).toBeGreaterThan(2);
});

it.each(EXAMPLES)("the templates file of the docs is valid: %s", (text) => {
  const result = readTemplatesFile(text, { drivers: DRIVERS, apiUrl: "https://ci.example.com" });
  expect(result.ok ? [] : result.faults.map((fault) => describeFault("example", fault))).toEqual([]);
});

it.each(EXAMPLES)("the templates file of the docs is what the JSON schema describes: %s", (text) => {
  expect(validate(parse(text)) ? [] : validate.errors).toEqual([]);
});
