import { fileURLToPath } from "node:url";
import { Ajv } from "ajv";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { DRIVERS } from "../drivers/registry.ts";
import { templatesFileSchema } from "./json-schema.ts";

const validate = new Ajv({
  strict: true,
  strictTypes: false,
  strictRequired: false,
  allErrors: true,
  formats: { uri: true },
}).compile(templatesFileSchema(DRIVERS));

/** Where the file is wrong. */
function placesIn(text: string): string[] {
  if (validate(parse(text))) return [];
  return [...new Set((validate.errors ?? []).map(({ instancePath }) => instancePath))];
}

const docker = (lines: string) => `provider: { kind: docker }
templates:
  small:
    labels: [linux]
    max_concurrency: 5
    machine: { image: base }
${lines}`;

describe("the JSON schema of the templates file", () => {
  it.each([
    ["is whole", docker("")],
    ["has every kind of value", docker("    boot_timeout: 90s\n    idle: 1\n    cost: 0.5\n    sandbox: host\n")],
    [
      "leaves the rest to its defaults",
      "provider: { kind: docker }\ndefaults: { labels: [a] }\ntemplates: { a: {} }\n",
    ],
    [
      "has expressions for numbers, lists and maps",
      docker('    idle: "${{ vars.idle }}"\n')
        .replace("[linux]", '"${{ vars.labels }}"')
        .replace("{ image: base }", '"${{ vars.machine }}"'),
    ],
    [
      "has a matrix",
      'provider: { kind: docker }\nmatrix: { m: { axes: { a: [1] }, template: { idle: "${{ a }}" } } }\n',
    ],
    [
      "is for a program that takes anything",
      "provider: { kind: command, command: [x] }\ntemplates: { a: { machine: { any: [1] } } }\n",
    ],
  ])("accepts a file that %s", (_what, text) => {
    expect(placesIn(text)).toEqual([]);
  });

  it.each([
    ["there is no provider", "templates: {}\n", ""],
    ["there is no such provider", docker("").replace("kind: docker", "kind: dokcer"), "/provider/kind"],
    ["a setting is another driver's", docker("").replace("kind: docker", "kind: docker, token_file: t"), "/provider"],
    ["a key of the file is unknown", docker("limit: {}\n"), ""],
    ["a key of a template is unknown", docker("    idel: 1\n"), "/templates/small"],
    [
      "a key of a machine is another driver's",
      docker("").replace("image: base", "server_type: cx23"),
      "/templates/small/machine",
    ],
    ["a number is none", docker("    idle: many\n"), "/templates/small/idle"],
    ["a label is no label", docker("").replace("[linux]", "[1]"), "/templates/small/labels/0"],
  ])("says where when %s", (_what, text, place) => {
    expect(placesIn(text)).toContain(place);
  });

  it("is printed whole by the provisioner, which needs no settings for it", async () => {
    const main = fileURLToPath(new URL("../main.ts", import.meta.url));
    const { stdout } = await execa(process.execPath, [main, "schema"], { extendEnv: false });
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(templatesFileSchema(DRIVERS))));
  });
});
