import { Ajv2020 } from "ajv/dist/2020.js";
import { parseValues } from "./expressions/values.ts";
import type { StepRules } from "./model/model.ts";

type Declared = NonNullable<StepRules["outputs"]>;

/** What a step wrote, and what its workflow says that it writes. */
export interface OutputCheck {
  readonly written: Readonly<Record<string, string>>;
  readonly declared: Declared;
}

export type CoercedOutputs =
  /** As values of expressions. */
  { readonly ok: true; readonly outputs: Record<string, unknown> } | { readonly ok: false; readonly message: string };

/** The outputs in their declared types. All that are declared must be there, and no other. Unbounded in time: a schema may be hostile. */
export function coerceOutputs({ written, declared }: OutputCheck): CoercedOutputs {
  const missing = Object.keys(declared).filter((name) => !Object.hasOwn(written, name));
  if (missing.length > 0) return refuse(`the step did not write its declared output ${listed(missing)}`);
  const others = Object.keys(written).filter((name) => !Object.hasOwn(declared, name));
  if (others.length > 0) return refuse(`the step wrote ${listed(others)}, which its \`outputs\` do not declare`);
  const outputs: Record<string, unknown> = {};
  for (const [name, declaration] of Object.entries(declared)) {
    const coerced = coerce(written[name] ?? "", declaration);
    if (!coerced.ok) return refuse(`the output "${name}" ${coerced.message}`);
    outputs[name] = coerced.value;
  }
  return { ok: true, outputs };
}

type Coerced = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

function coerce(text: string, { type, schema }: Declared[string]): Coerced {
  switch (type) {
    case "string":
      return { ok: true, value: text };
    case "number": {
      const value = text.trim() === "" ? Number.NaN : Number(text);
      return Number.isFinite(value) ? { ok: true, value } : refuse("is not a number");
    }
    case "boolean":
      return text === "true" || text === "false"
        ? { ok: true, value: text === "true" }
        : refuse("is neither true nor false");
    case "json":
      return coerceJson(text, schema);
  }
}

function coerceJson(text: string, schema: Declared[string]["schema"]): Coerced {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse("is not JSON");
  }
  if (schema === undefined || schema === true) return { ok: true, value: parseValues(text) };
  if (schema === false) return refuse("may have no value");
  const ajv = new Ajv2020({ strict: false, coerceTypes: true, validateFormats: false, logger: false });
  try {
    const validate = ajv.compile({ type: "object", required: ["value"], properties: { value: schema } });
    const holder = { value };
    if (validate(holder)) return { ok: true, value: parseValues(JSON.stringify(holder.value)) };
    const [fault] = validate.errors ?? [];
    return refuse(
      `does not fit its schema: ${fault?.instancePath.replace(/^\/value/, "") ?? ""} ${fault?.message ?? ""}`.trim(),
    );
  } catch {
    return refuse("has a schema that cannot be used");
  }
}

function refuse(message: string): { ok: false; message: string } {
  return { ok: false, message };
}

function listed(names: readonly string[]): string {
  const shown = names
    .slice(0, 5)
    .map((name) => `"${name}"`)
    .join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
