import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  Scalar,
  type YAMLMap,
} from "yaml";

/** Keys and list indexes from the root to a value. */
export type Path = readonly (string | number)[];

/** Both count from 1. */
export interface Position {
  line: number;
  column: number;
}

export interface LineRange {
  startLine: number;
  endLine: number;
}

export type ResolvedAliases = ReadonlyMap<Alias, Node>;

export function keyText(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}

export function isMergeKey(key: unknown): boolean {
  if (!isScalar(key) || (key.type && key.type !== Scalar.PLAIN)) return false;
  return key.value === "<<" || (typeof key.value === "symbol" && key.value.description === "<<");
}

interface Entries {
  readonly own: ReadonlyMap<string, Pair>;
  /** Those with the key `<<`. */
  readonly merges: readonly Pair[];
}

/** Leads from a path in the parsed value back to the text, through aliases and merge keys. */
export class SourceMap {
  readonly #text: string;
  readonly #root: Node;
  readonly #lines: LineCounter;
  readonly #aliases: ResolvedAliases;
  /** Of the mappings that were asked for, so that a lookup does not cost as much as the mapping is long. */
  readonly #entries = new Map<Node, Entries>();

  constructor(source: { text: string; root: Node; lines: LineCounter; aliases: ResolvedAliases }) {
    this.#text = source.text;
    this.#root = source.root;
    this.#lines = source.lines;
    this.#aliases = source.aliases;
  }

  /**
   * Position of the key or the value at `path`. A value that is written as nothing answers with its key; a path that
   * the file does not have answers with the nearest parent that it has.
   */
  position(path: Path, at: "key" | "value"): Position {
    const found = this.#find(path);
    const pointsAtKey = at === "key" || found.partial || isBlank(found.value);
    return this.#positionOf((pointsAtKey ? found.key : found.value) ?? found.value ?? this.#root);
  }

  /** Keys of the mapping at `path` as they are written, merged ones included; none when there is no mapping. */
  keys(path: Path): string[] {
    return [...new Set(this.#keys(this.#find(path).value))];
  }

  /** First and last line of the value at `path`. */
  lines(path: Path): LineRange {
    const [start, end] = this.#find(path).value?.range ?? [0, 0];
    const writtenEnd = start + this.#text.slice(start, end).trimEnd().length;
    return { startLine: this.#lineAt(start), endLine: this.#lineAt(Math.max(start, writtenEnd - 1)) };
  }

  /** The value at `path` as it is written, when it is an unquoted scalar; null otherwise. */
  plainText(path: Path): string | null {
    const { value } = this.#find(path);
    const node = this.#follow(value);
    return isScalar(node) && node.type === Scalar.PLAIN ? (node.source ?? null) : null;
  }

  /** `key` is the key node of a mapping entry, and the item itself in a list. */
  #find(path: Path): { key: Node | null; value: Node | null; partial: boolean } {
    let key: Node | null = null;
    let value: Node | null = this.#root;
    for (const segment of path) {
      const parent = this.#follow(value);
      if (isMap(parent)) {
        const pair = this.#pair(parent, String(segment));
        if (!pair) return { key, value, partial: true };
        key = pair.key as Node | null;
        value = pair.value as Node | null;
      } else if (isSeq(parent) && typeof segment === "number" && segment < parent.items.length) {
        value = parent.items[segment] as Node | null;
        key = value;
      } else {
        return { key, value, partial: true };
      }
    }
    return { key, value, partial: false };
  }

  #keys(node: Node | null): string[] {
    const map = this.#follow(node);
    if (!isMap(map)) return [];
    return map.items.flatMap((pair) =>
      isMergeKey(pair.key) ? this.#mergeSources(pair).flatMap((source) => this.#keys(source)) : [keyText(pair.key)],
    );
  }

  #pair(map: YAMLMap, key: string): Pair | null {
    const { own, merges } = this.#entriesOf(map);
    const pair = own.get(key);
    if (pair) return pair;
    for (const source of merges.flatMap((merge) => this.#mergeSources(merge))) {
      const merged = this.#follow(source);
      const inherited = isMap(merged) ? this.#pair(merged, key) : null;
      if (inherited) return inherited;
    }
    return null;
  }

  #entriesOf(map: YAMLMap): Entries {
    let entries = this.#entries.get(map);
    if (!entries) {
      const { merge = [], own = [] } = Object.groupBy(map.items, ({ key }) => (isMergeKey(key) ? "merge" : "own"));
      entries = { own: new Map(own.map((pair) => [keyText(pair.key), pair])), merges: merge };
      this.#entries.set(map, entries);
    }
    return entries;
  }

  #mergeSources(pair: Pair): (Node | null)[] {
    const source = this.#follow(pair.value as Node | null);
    return isSeq(source) ? (source.items as (Node | null)[]) : [source];
  }

  #follow(node: Node | null): Node | null {
    return isAlias(node) ? (this.#aliases.get(node) ?? null) : node;
  }

  #positionOf(node: Node): Position {
    const { line, col } = this.#lines.linePos(node.range?.[0] ?? 0);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }

  #lineAt(offset: number): number {
    return Math.max(1, this.#lines.linePos(offset).line);
  }
}

function isBlank(node: Node | null): boolean {
  return !node?.range || node.range[0] === node.range[1];
}
