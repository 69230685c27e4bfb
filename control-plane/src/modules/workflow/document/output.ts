import { MAX_OUTPUTS, MAX_OUTPUT_SCHEMA_BYTES, MAX_OUTPUT_SCHEMA_DEPTH } from "../limits.ts";
import { check, entries, isMapping, object, oneOf, type Place, refuseType } from "./check.ts";
import { identifierKey } from "./text.ts";

const type = oneOf("the type of an output", ["string", "number", "boolean", "json"]);

const schema = check({ type: ["object", "boolean"] }, (value, place) => {
  if (typeof value === "boolean") return;
  if (!isMapping(value)) return refuseType(value, place, "a JSON Schema: a mapping, `true` or `false`");
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes > MAX_OUTPUT_SCHEMA_BYTES) {
    place.refuse(
      "invalid-value",
      `the schema takes ${bytes} bytes as JSON; at most ${MAX_OUTPUT_SCHEMA_BYTES} are allowed`,
    );
  } else if (isDeeper(value, MAX_OUTPUT_SCHEMA_DEPTH)) {
    place.refuse("invalid-value", `the schema is nested too deep; ${MAX_OUTPUT_SCHEMA_DEPTH} levels are allowed`);
  }
});

const declaration = object({ what: "an output", keys: { type, schema }, required: ["type"] });

const output = check({ anyOf: [type.schema, declaration.schema] }, (value, place) => {
  if (!isMapping(value)) return type(value, place);
  declaration(value, place);
  refuseSchemaOfText(value, place);
});

function refuseSchemaOfText(value: Record<string, unknown>, place: Place): void {
  if (!Object.hasOwn(value, "schema") || value["type"] === "json") return;
  place.child("schema").refuse("invalid-value", "only an output of type `json` has a schema", { at: "key" });
}

const eachOutput = entries("outputs", identifierKey("the key of an output"), output);

/** What a step declares to hand over, by key. */
export const stepOutputs = check({ allOf: [eachOutput.schema], maxProperties: MAX_OUTPUTS }, (value, place) => {
  const count = isMapping(value) ? Object.keys(value).length : 0;
  if (count <= MAX_OUTPUTS) return eachOutput(value, place);
  place.refuse("invalid-value", `${count} outputs are too many; at most ${MAX_OUTPUTS} are allowed`, { at: "key" });
});

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((child) => isDeeper(child, levels - 1));
}
