import { parseExpression } from "./cel.ts";
import type { Root } from "./contexts.ts";
import { isRoot } from "./contexts.ts";
import type { Template } from "./template.ts";

const MAX_KNOWN = 1_024;

/** What an expression reads: whole roots, and of `vars` which keys. */
export interface NamesRead {
  readonly roots: ReadonlySet<Root>;
  readonly variables: ReadonlySet<string>;
}

const known = new Map<string, NamesRead>();

export function namesRead(source: string): NamesRead {
  let names = known.get(source);
  if (names === undefined) {
    names = readNames(source);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(source, names);
  }
  return names;
}

function readNames(source: string): NamesRead {
  const parsed = parseExpression(source);
  const references = parsed.ok ? parsed.references : [];
  return {
    roots: new Set(references.map(({ name }) => name).filter(isRoot)),
    variables: new Set(
      references.flatMap(({ name, keys: [key] }) => (name === "vars" && key !== undefined ? [key] : [])),
    ),
  };
}

/** The expressions of a template that the control plane evaluates. */
export function sourcesOf(template: Template): string[] {
  return template.flatMap((segment) => (segment.kind === "expression" ? [segment.source] : []));
}
