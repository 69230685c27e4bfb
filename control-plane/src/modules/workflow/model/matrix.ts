import type { MatrixDocument, MatrixValue } from "../document/document.ts";

/** What one job of a matrix has for its axes, and for names that `include` adds. */
export type Combination = Readonly<Record<string, MatrixValue>>;

interface Parts {
  readonly axes: Readonly<Record<string, readonly MatrixValue[]>>;
  readonly include: readonly Combination[];
  readonly exclude: readonly Combination[];
}

/** A matrix without its settings. */
export function partsOf({ include, exclude, ...rest }: MatrixDocument): Parts {
  const { max_parallel: _maxParallel, fail_fast: _failFast, ...axes } = rest;
  return {
    axes: axes as Record<string, MatrixValue[]>,
    include: include ?? [],
    exclude: exclude ?? [],
  };
}

/** All names that some combination has. */
export function axesOf(matrix: MatrixDocument): ReadonlySet<string> {
  const { axes, include } = partsOf(matrix);
  return new Set([...Object.keys(axes), ...include.flatMap((entry) => Object.keys(entry))]);
}

/** Jobs that the matrix becomes at most; cheap, whatever its axes multiply to. */
export function countOf(matrix: MatrixDocument): number {
  const { axes, include } = partsOf(matrix);
  const lists = Object.values(axes);
  return (lists.length === 0 ? 0 : lists.reduce((product, values) => product * values.length, 1)) + include.length;
}

/**
 * The jobs of a matrix, the last axis changing first. `exclude` takes away what has all its values. An entry of `include`
 * adds its values to every combination of which it changes no axis; one that fits none is a combination of its own. Takes a
 * matrix of a bounded `countOf`.
 */
export function combinationsOf(matrix: MatrixDocument): Combination[] {
  const { axes, include, exclude } = partsOf(matrix);
  const lists = Object.entries(axes);
  const product = lists.reduce<Combination[]>(
    (combinations, [axis, values]) =>
      combinations.flatMap((combination) => values.map((value) => ({ ...combination, [axis]: value }))),
    lists.length === 0 ? [] : [{}],
  );
  const kept = product.filter((combination) => !exclude.some((excluded) => hasAll(combination, excluded)));
  const extended = kept.map((original) =>
    include
      .filter((entry) => fits(entry, original))
      .reduce<Combination>((combination, entry) => ({ ...combination, ...entry }), original),
  );
  return [...extended, ...include.filter((entry) => !kept.some((original) => fits(entry, original)))];
}

function hasAll(combination: Combination, wanted: Combination): boolean {
  return Object.entries(wanted).every(
    ([name, value]) => Object.hasOwn(combination, name) && combination[name] === value,
  );
}

/** No value of the entry contradicts an axis of the combination. */
function fits(entry: Combination, original: Combination): boolean {
  return Object.entries(entry).every(([name, value]) => !Object.hasOwn(original, name) || original[name] === value);
}
