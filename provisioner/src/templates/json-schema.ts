import { z } from "zod";
import type { Driver } from "../drivers/driver.ts";
import { fileSchema, templateSchema } from "./schema.ts";

type JsonSchema = z.core.JSONSchema.JSONSchema;

/** In templates any value may be one, or be made of some. */
const EXPRESSION: JsonSchema = { type: "string", pattern: "\\$\\{\\{" };

/**
 * The templates file as JSON Schema (draft 7), for editors: which keys there are, and what their values look like. What depends on
 * other places, or on what an expression becomes, only the provisioner itself checks.
 */
export function templatesFileSchema(drivers: Readonly<Record<string, Driver>>): object {
  const file = jsonSchemaOf(fileSchema);
  const provider = { type: "object", required: ["kind"], properties: { kind: { enum: Object.keys(drivers) } } };
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    ...file,
    title: "Templates file of shipfox-provisioner",
    required: ["provider"],
    properties: { ...file.properties, provider },
    definitions: {
      expression: EXPRESSION,
      ...Object.fromEntries(Object.values(drivers).map((driver) => [templateOf(driver), templateSchemaOf(driver)])),
    },
    allOf: Object.values(drivers).map((driver) => ({
      if: { required: ["provider"], properties: { provider: { properties: { kind: { const: driver.kind } } } } },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: { properties: propertiesFor(driver) },
    })),
  };
}

/** What a driver has a say in. */
function propertiesFor(driver: Driver): Record<string, JsonSchema> {
  const settings = jsonSchemaOf(driver.settingsSchema);
  const template = { $ref: `#/definitions/${templateOf(driver)}` };
  return {
    provider: {
      ...settings,
      required: ["kind", ...(settings.required ?? [])],
      properties: { kind: { const: driver.kind }, ...settings.properties },
    },
    defaults: template,
    templates: { type: "object", additionalProperties: template },
    matrix: { type: "object", additionalProperties: { type: "object", properties: { template } } },
  };
}

function templateOf({ kind }: Driver): string {
  return `template-${kind}`;
}

function templateSchemaOf({ machineSchema }: Driver): JsonSchema {
  const { properties, ...rest } = jsonSchemaOf(templateSchema);
  return asPart({ ...rest, properties: { ...properties, machine: jsonSchemaOf(machineSchema) } });
}

/** A part of a template: what is missing comes from `defaults`, and any value may be an expression. */
function asPart(schema: JsonSchema): JsonSchema {
  const { required: _, properties, ...rest } = schema;
  if (schema.type === "array") return orExpression({ ...rest, items: orExpression(schema.items as JsonSchema) });
  if (properties === undefined) return orExpression(schema);
  const parts = Object.entries(properties).map(([name, value]) => [name, asPart(value as JsonSchema)] as const);
  return orExpression({ ...rest, properties: Object.fromEntries(parts) });
}

function orExpression(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { $ref: "#/definitions/expression" }] };
}

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const options = { target: "draft-7", io: "input", unrepresentable: "any", override: withoutForeignDefault } as const;
  const { $schema: _, definitions: __, ...made } = z.toJSONSchema(schema, options);
  return JSON.parse(JSON.stringify(made), withoutReference) as JsonSchema;
}

/** The default of what a text becomes is no text that could be written. */
function withoutForeignDefault({ jsonSchema }: { jsonSchema: JsonSchema }): void {
  if (jsonSchema.type === "string" && typeof jsonSchema.default !== "string") delete jsonSchema.default;
}

/** The only definition that refers to itself is that of any JSON value, and the file holds nothing else. */
function withoutReference(_key: string, value: unknown): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "$ref") ? {} : value;
}
