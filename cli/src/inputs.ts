import type { fireManualBodySchema } from "@shipfox/shared/api/definitions";
import type { z } from "zod";
import { usageError } from "./cli-error.ts";

type Inputs = NonNullable<z.input<typeof fireManualBodySchema>["inputs"]>;

const EXAMPLE = "shipfox run deploy --input target=staging --input replicas:=3";

/** Turns `k=text` and `k:=json` into the inputs of a run; undefined when none is given. Throws a usage error. */
export function parseInputs(pairs: readonly string[]): Inputs | undefined {
  if (pairs.length === 0) return undefined;
  const inputs: Inputs = Object.create(null);
  for (const pair of pairs) {
    const separator = pair.indexOf("=");
    if (separator < 1) throw usageError(`The input "${pair}" is neither key=text nor key:=json.`, EXAMPLE);
    const isJson = pair[separator - 1] === ":";
    const key = pair.slice(0, isJson ? separator - 1 : separator);
    const value = pair.slice(separator + 1);
    if (key === "") throw usageError(`The input "${pair}" has no key.`, EXAMPLE);
    if (Object.hasOwn(inputs, key)) throw usageError(`The input "${key}" is given twice.`, EXAMPLE);
    inputs[key] = isJson ? parseJsonValue(key, value) : value;
  }
  return inputs;
}

function parseJsonValue(key: string, value: string): Inputs[string] {
  try {
    return JSON.parse(value) as Inputs[string];
  } catch (error) {
    throw usageError(`The input "${key}" is not JSON: ${(error as Error).message}.`, EXAMPLE);
  }
}
