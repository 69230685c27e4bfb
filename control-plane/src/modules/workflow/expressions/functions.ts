import type { Environment } from "@marcbachmann/cel-js";
import { parseValues, toPlain } from "./values.ts";

const MAX_RANGE = 1_000;
const MAX_JSON_CHARACTERS = 1_000_000;

type Operation = (left: number, right: number) => number;
const ARITHMETIC: Readonly<Record<string, Operation>> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
};

/** The functions that the language adds to CEL. */
export function withFunctions(environment: Environment): Environment {
  return environment
    .registerFunction("range(int, int, int): list<int>", range)
    .registerFunction("toJson(dyn): string", toJson)
    .registerFunction("fromJson(string): dyn", fromJson);
}

/**
 * Whole numbers calculate with fractions and give one. Only for evaluation: whether a number of an event or an input is whole
 * is the sender's choice, while authors are told to write `1.0` where a fraction is declared.
 */
export function withMixedArithmetic(environment: Environment): Environment {
  for (const [operator, calculate] of Object.entries(ARITHMETIC)) {
    const mixed = (left: bigint | number, right: bigint | number) => calculate(Number(left), Number(right));
    environment.registerOperator(`int ${operator} double`, mixed).registerOperator(`double ${operator} int`, mixed);
  }
  return environment;
}

function range(start: bigint, stop: bigint, step: bigint): bigint[] {
  if (step <= 0n) throw new Error("the step of a range is over 0");
  const count = start > stop ? 0n : (stop - start) / step + 1n;
  if (count > BigInt(MAX_RANGE)) throw new Error(`a range has at most ${MAX_RANGE} values`);
  return Array.from({ length: Number(count) }, (_, index) => start + step * BigInt(index));
}

function toJson(value: unknown): string {
  const text = JSON.stringify(toPlain(value));
  if (text.length > MAX_JSON_CHARACTERS) throw new Error(`toJson gives at most ${MAX_JSON_CHARACTERS} characters`);
  return text;
}

function fromJson(text: string): unknown {
  try {
    return parseValues(text);
  } catch {
    throw new Error("fromJson got a text that is not JSON");
  }
}
