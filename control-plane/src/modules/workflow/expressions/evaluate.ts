import { type ASTNode, Environment } from "@marcbachmann/cel-js";
import { MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_NODES } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { withFunctions, withMixedArithmetic } from "./functions.ts";
import { parseValues, toData, toPlain } from "./values.ts";

/** A text that is longer is no argument or variable of a process. */
export const MAX_TEXT_CHARACTERS = 131_072;
const MAX_MESSAGE_CHARACTERS = 300;

/** One expression and what is wanted of it: whether it is true, its value, or its value as text. */
export interface Expression {
  readonly source: string;
  readonly as: "condition" | "value" | "text";
}

/** Expressions over the same values. `context` is what stands behind each root, written by `stringifyValues`. */
export interface Evaluation {
  readonly context: string;
  readonly expressions: readonly Expression[];
}

/** A value is plain data, with integers as `bigint`. A message says in words why there is none. */
export type Evaluated =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly message: string };

const EVALUATING = withMixedArithmetic(
  withFunctions(
    new Environment({
      unlistedVariablesAreDyn: true,
      limits: { maxAstNodes: MAX_EXPRESSION_NODES, maxDepth: MAX_EXPRESSION_DEPTH },
    }),
  ),
);

/** Evaluates each expression by itself. Unbounded in time: see `isPlain`. */
export function evaluate({ context, expressions }: Evaluation): Evaluated[] {
  const values = withTimes(parseValues(context) as Record<string, unknown>);
  return expressions.map((expression) => evaluateOne(expression, values));
}

function evaluateOne({ source, as }: Expression, values: Record<string, unknown>): Evaluated {
  try {
    const value: unknown = EVALUATING.evaluate(source, values);
    if (as === "value") return { ok: true, value: toData(value, (whole) => whole) };
    if (as === "text") return asText(value);
    if (typeof value === "boolean") return { ok: true, value };
    return { ok: false, message: "its value is neither true nor false" };
  } catch (error) {
    return { ok: false, message: describe(error) };
  }
}

/** As templates show it: null is empty, lists and mappings are compact JSON. */
function asText(value: unknown): Evaluated {
  const plain = toPlain(value);
  const text = plain === null ? "" : typeof plain === "string" ? plain : JSON.stringify(plain);
  if (text.length <= MAX_TEXT_CHARACTERS) return { ok: true, value: text };
  return { ok: false, message: `its value has ${text.length} characters; at most ${MAX_TEXT_CHARACTERS} are allowed` };
}

function describe(error: unknown): string {
  if (error instanceof RangeError) return "it is nested too deep";
  const summary = (error as { summary?: unknown }).summary;
  const message = typeof summary === "string" ? summary : (error as Error).message;
  return shorten(message.split("\n")[0] ?? "", MAX_MESSAGE_CHARACTERS);
}

/** Fields that hold times, wherever they stand in what the server says of runs, executions and events. */
const TIMES = ["created_at", "started_at", "finished_at", "received_at"];

/** Times come as ISO 8601 texts; expressions get timestamps. What events, inputs and steps bring stays as it is. */
function withTimes(values: Record<string, unknown>): Record<string, unknown> {
  for (const root of ["run", "execution", "executions"]) setTimes(values[root]);
  return values;
}

function setTimes(value: unknown): void {
  if (Array.isArray(value)) return value.forEach(setTimes);
  if (typeof value !== "object" || value === null) return;
  const record = value as Record<string, unknown>;
  for (const key of TIMES) if (typeof record[key] === "string") record[key] = new Date(record[key]);
  setTimes(record["events"]);
}

/** Calls whose work is at most that of reading their arguments once. */
const PLAIN_CALLS = new Set(["has", "size", "int", "double", "string", "bool", "dyn"]);
const PLAIN_METHODS = new Set(["size", "contains", "startsWith", "endsWith", "lowerAscii", "upperAscii", "trim"]);
const MAX_PLAIN_NODES = 64;
const MAX_PLAIN_CONTEXT_CHARACTERS = 65_536;

/**
 * True when an evaluation ends in a fraction of a millisecond whatever it says: few and simple operations over little. All
 * others may take any time.
 */
export function isPlain({ context, expressions }: Evaluation): boolean {
  if (context.length > MAX_PLAIN_CONTEXT_CHARACTERS) return false;
  let left = MAX_PLAIN_NODES;
  return expressions.every(({ source }) => {
    left -= plainNodes(source);
    return left >= 0;
  });
}

/** How many operations the expression has; infinitely many when one of them is not plain. */
function plainNodes(source: string): number {
  try {
    return countPlain(EVALUATING.parse(source).ast);
  } catch {
    return 1;
  }
}

function countPlain(node: ASTNode): number {
  const children = plainChildren(node);
  return children === null ? Number.POSITIVE_INFINITY : children.reduce((sum, child) => sum + countPlain(child), 1);
}

/** The parts of an operation; null when it is not plain. */
function plainChildren(node: ASTNode): ASTNode[] | null {
  if (node.op === "value" || node.op === "id") return [];
  if (node.op === "." || node.op === ".?") return [node.args[0]];
  if (node.op === "call") return PLAIN_CALLS.has(node.args[0]) ? node.args[1] : null;
  if (node.op === "rcall") return PLAIN_METHODS.has(node.args[0]) ? [node.args[1], ...node.args[2]] : null;
  if (node.op === "list") return node.args;
  if (node.op === "map") return node.args.flat();
  if (node.op === "!_" || node.op === "-_") return [node.args];
  return node.args;
}
