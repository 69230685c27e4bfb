import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type Pair } from "yaml";
import { MAX_ALIASES, MAX_NESTING_DEPTH } from "../limits.ts";
import { isMergeKey, keyText } from "./source-map.ts";

export interface NodeFault {
  message: string;
  offset: number;
}

export const TOO_DEEP = `mappings and lists may be nested ${MAX_NESTING_DEPTH} levels deep at most`;

/** Explicit tags that still give plain JSON; anything else (`!!binary`, `!secret`) would not survive being stored. */
const JSON_TAGS = new Set(
  ["map", "seq", "str", "int", "float", "bool", "null"].map((tag) => `tag:yaml.org,2002:${tag}`),
);

/**
 * Checks on the node tree what the YAML library leaves open, or does in quadratic time: duplicate keys, tags, aliases
 * (known, not inside themselves, not too many), merge sources and depth.
 */
export function checkNodes(root: Node): { faults: NodeFault[]; aliases: Map<Alias, Node> } {
  const faults: NodeFault[] = [];
  const anchors = new Map<string, Node>();
  const open = new Set<Node>();
  const aliases = new Map<Alias, Node>();

  function refuse(node: Node, message: string): void {
    faults.push({ message, offset: node.range?.[0] ?? 0 });
  }

  function checkAlias(alias: Alias): void {
    const target = anchors.get(alias.source);
    if (!target) return refuse(alias, `the alias *${alias.source} has no anchor &${alias.source} before it`);
    if (open.has(target)) return refuse(alias, `the alias *${alias.source} stands inside its own anchor`);
    aliases.set(alias, target);
    if (aliases.size === MAX_ALIASES + 1) refuse(alias, `a workflow may use at most ${MAX_ALIASES} aliases`);
  }

  function checkMergeSource(value: Node | null, key: Node): void {
    const source = isAlias(value) ? aliases.get(value) : value;
    const parts = isSeq(source) ? source.items : [source];
    const areMaps = parts.every((part) => isMap(isAlias(part) ? aliases.get(part) : part));
    if (!areMaps) refuse(key, "`<<` merges mappings only: give it an alias of a mapping, or a list of those");
  }

  function checkPairs(pairs: readonly Pair[]): void {
    const seen = new Set<string>();
    for (const pair of pairs) {
      const key = pair.key as Node;
      const text = keyText(key);
      if (seen.has(text)) refuse(key, `the key "${text}" stands twice in one mapping; keep one`);
      seen.add(text);
      walk(key);
      walk(pair.value as Node | null);
      if (isMergeKey(key)) checkMergeSource(pair.value as Node | null, key);
    }
  }

  function walk(node: Node | null): void {
    if (!node) return;
    if (isAlias(node)) return checkAlias(node);
    if (!isScalar(node) && !isMap(node) && !isSeq(node)) return;
    if (node.anchor) anchors.set(node.anchor, node);
    if (node.tag && !JSON_TAGS.has(node.tag)) refuse(node, `the tag ${node.tag} is not supported; write a plain value`);
    if (isScalar(node)) return;
    if (open.size >= MAX_NESTING_DEPTH) return refuse(node, TOO_DEEP);
    open.add(node);
    if (isMap(node)) checkPairs(node.items);
    else for (const item of node.items) walk(item as Node | null);
    open.delete(node);
  }

  walk(root);
  return { faults, aliases };
}
