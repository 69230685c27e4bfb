import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { DRIVERS } from "../drivers/registry.ts";
import { describeFault, readTemplatesFile } from "./read-templates-file.ts";

const PAGE = readFileSync(new URL("../../../docs/provisioner.md", import.meta.url), "utf8");
/** Those that are whole files. */
const EXAMPLES = [...PAGE.matchAll(/```yaml\n([^]*?)```/g)]
  .map(([, text = ""]) => text)
  .filter((text) => /^(templates|matrix):/m.test(text));

it("finds the examples of the page", () => {
  expect(EXAMPLES.length).toBeGreaterThan(2);
});

it.each(EXAMPLES)("the templates file of the docs is valid: %s", (text) => {
  const result = readTemplatesFile(text, { drivers: DRIVERS, apiUrl: "https://ci.example.com" });
  expect(result.ok ? [] : result.faults.map((fault) => describeFault("example", fault))).toEqual([]);
});
