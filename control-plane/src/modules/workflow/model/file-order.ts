import type { Path, SourceMap } from "../yaml/source-map.ts";

/** Entries as written; a JavaScript object puts keys that look like numbers first. */
export function inFileOrder<T>(entries: Record<string, T>, path: Path, source: SourceMap): Map<string, T> {
  const position = new Map(source.keys(path).map((key, index) => [key, index]));
  const order = (key: string): number => position.get(key) ?? Number.MAX_SAFE_INTEGER;
  return new Map(Object.entries(entries).toSorted(([a], [b]) => order(a) - order(b)));
}
