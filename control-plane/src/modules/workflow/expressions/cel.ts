import { type ASTNode, Environment, ParseError } from "@marcbachmann/cel-js";
import { withFunctions } from "./functions.ts";
import { MAX_EXPRESSION_CHARACTERS, MAX_EXPRESSION_DEPTH, MAX_EXPRESSION_NODES } from "../limits.ts";

/** The dialect of CEL that workflows use: bounded in size, with the functions of the language and no variables. */
export const CEL = withFunctions(
  new Environment({ limits: { maxAstNodes: MAX_EXPRESSION_NODES, maxDepth: MAX_EXPRESSION_DEPTH } }),
);

/** One use of a name that an expression does not define itself. */
export interface Reference {
  name: string;
  /** The keys behind it that are written with dots, up to the first that is not. */
  keys: string[];
  /** Where the first key ends in the text, or the name when there is none. */
  firstKeyEnd: number;
  /** True when it is all that the expression consists of. */
  isWhole: boolean;
}

export type ParseResult = { ok: true; references: Reference[] } | { ok: false; message: string };

/** Names that an expression reads, each use once, or why it cannot be read. */
export function parseExpression(source: string): ParseResult {
  if (source.length > MAX_EXPRESSION_CHARACTERS) {
    return {
      ok: false,
      message: `it has ${source.length} characters; at most ${MAX_EXPRESSION_CHARACTERS} are allowed`,
    };
  }
  try {
    const { ast } = CEL.parse(source);
    const references: Reference[] = [];
    collect(ast, new Set(), references);
    const [only] = references;
    if (only && references.length === 1 && isChain(ast)) only.isWhole = true;
    return { ok: true, references };
  } catch (error) {
    if (error instanceof ParseError) return { ok: false, message: error.summary };
    // The parser bounds how deep calls, brackets and lists go, but not `!!!…` and `a ? b : c ? …`.
    if (error instanceof RangeError) return { ok: false, message: "it is nested too deep" };
    throw error;
  }
}

const MACROS: ReadonlySet<string> = new Set(["all", "exists", "exists_one", "map", "filter"]);

function collect(node: ASTNode, bound: ReadonlySet<string>, found: Reference[]): void {
  const visit = (child: ASTNode, names = bound) => collect(child, names, found);
  if (node.op === "value") return;
  if (node.op === "id" || node.op === ".") return collectChain(node, visit, bound, found);
  if (node.op === "call") return node.args[1].forEach((argument) => visit(argument));
  if (node.op === "rcall") return collectCall(node.args, visit, bound);
  if (node.op === "list") return node.args.forEach((item) => visit(item));
  if (node.op === "map") return node.args.flat().forEach((part) => visit(part));
  if (node.op === "!_" || node.op === "-_") return visit(node.args);
  if (node.op === ".?") return visit(node.args[0]);
  for (const child of node.args) visit(child);
}

type Call = Extract<ASTNode, { op: "rcall" }>["args"];

/** A method, or a macro, which binds a name for its later arguments. */
function collectCall(
  [method, receiver, values]: Call,
  visit: (child: ASTNode, names?: ReadonlySet<string>) => void,
  bound: ReadonlySet<string>,
): void {
  const [variable, ...rest] = values;
  const binds = receiver.op === "id" && receiver.args === "cel" && method === "bind";
  if (variable?.op !== "id" || rest.length === 0 || !(binds || MACROS.has(method))) {
    visit(receiver);
    return values.forEach((value) => visit(value));
  }
  const inside = new Set([...bound, variable.args]);
  const [first, ...body] = rest;
  if (binds && first) visit(first);
  else visit(receiver);
  (binds ? body : rest).forEach((child) => visit(child, inside));
}

/** `a.b.c`: a name and its keys. What comes before the dots may be any expression. */
function collectChain(
  node: ASTNode,
  visit: (child: ASTNode) => void,
  bound: ReadonlySet<string>,
  found: Reference[],
): void {
  const keys: string[] = [];
  let head = node;
  let firstKeyEnd = node.end;
  while (head.op === ".") {
    keys.unshift(head.args[1]);
    firstKeyEnd = head.end;
    head = head.args[0];
  }
  if (head.op !== "id") return visit(head);
  if (!bound.has(head.args)) found.push({ name: head.args, keys, firstKeyEnd, isWhole: false });
}

function isChain(node: ASTNode): boolean {
  return node.op === "id" || (node.op === "." && isChain(node.args[0]));
}
