import { fillIn, isMap, type Scope } from "./expressions.ts";
import type { Path } from "./fault.ts";

export const MAX_TEMPLATES = 1_000;

/** A template as it was written, with expressions filled in, and where it stands in the file. */
export interface WrittenTemplate {
  readonly key: string;
  readonly path: Path;
  readonly body: unknown;
}

export interface Family {
  readonly axes: Readonly<Record<string, unknown>>;
  readonly exclude?: readonly Readonly<Record<string, unknown>>[] | undefined;
  readonly include?: readonly Readonly<Record<string, unknown>>[] | undefined;
  readonly let?: Readonly<Record<string, unknown>> | undefined;
  readonly key?: string | undefined;
  readonly template: unknown;
}

type Binding = Readonly<Record<string, unknown>>;

/** Says that a place is wrong; never returns. */
export type Fail = (path: Path, message: string) => never;

/**
 * The templates of a family: one for each combination of its axes without those that `exclude` matches, and for each of `include`.
 * `body` gets the family's template with the values of its combination.
 */
export function expandFamily(name: string, family: Family, vars: Scope, fail: Fail): WrittenTemplate[] {
  const path: Path = ["matrix", name];
  const axes = Object.entries(family.axes).map(([axis, value]) => ({
    axis,
    values: valuesOf(value, vars, [...path, "axes", axis], fail),
  }));
  if (axes.length === 0) fail([...path, "axes"], "a matrix needs at least one axis");
  const names = axes.map(({ axis }) => axis);
  const size = axes.reduce((product, { values }) => product * values.length, 1);
  if (size > MAX_TEMPLATES)
    fail([...path, "axes"], `the axes make ${size} combinations; at most ${MAX_TEMPLATES} are allowed`);
  const kept = combinations(axes).filter(
    (binding) => !(family.exclude ?? []).some((partial) => matches(binding, partial)),
  );
  for (const [index, binding] of (family.include ?? []).entries()) {
    const missing = names.find((axis) => !Object.hasOwn(binding, axis));
    const foreign = Object.keys(binding).find((axis) => !names.includes(axis));
    const place = [...path, "include", index];
    if (missing !== undefined) fail(place, `the axis ${missing} is missing`);
    if (foreign !== undefined) fail([...place, foreign], `there is no axis ${foreign}; there are ${names.join(", ")}`);
  }
  return [...kept, ...(family.include ?? [])].map((binding) => {
    const scope = withLets({ vars, ...binding }, family.let ?? {}, [...path, "let"], fail);
    const key =
      family.key === undefined
        ? defaultKey(
            name,
            names.map((axis) => ({ axis, value: binding[axis] })),
            path,
            fail,
          )
        : String(fillIn(family.key, scope, [...path, "key"], fail));
    return { key, path: [...path, "template"], body: fillIn(family.template, scope, [...path, "template"], fail) };
  });
}

function valuesOf(value: unknown, vars: Scope, path: Path, fail: Fail): unknown[] {
  const filled = fillIn(value, { vars }, path, fail);
  if (!Array.isArray(filled) || filled.length === 0) return fail(path, "an axis is a list with at least one value");
  return filled;
}

function combinations(axes: readonly { axis: string; values: readonly unknown[] }[]): Binding[] {
  return axes.reduce<Binding[]>(
    (bindings, { axis, values }) =>
      bindings.flatMap((binding) => values.map((value) => ({ ...binding, [axis]: value }))),
    [{}],
  );
}

function matches(binding: Binding, partial: Binding): boolean {
  return Object.entries(partial).every(([axis, value]) => isSame(binding[axis], value));
}

function isSame(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** Each may read those before it. */
function withLets(scope: Scope, lets: Readonly<Record<string, unknown>>, path: Path, fail: Fail): Scope {
  let current = scope;
  for (const [name, value] of Object.entries(lets)) {
    if (Object.hasOwn(current, name)) fail([...path, name], `the name ${name} is taken already`);
    current = { ...current, [name]: fillIn(value, current, [...path, name], fail) };
  }
  return current;
}

/** The family and the values, joined by "-"; a "-" within a value is written `%2D`, so that two combinations never meet. */
function defaultKey(
  family: string,
  values: readonly { axis: string; value: unknown }[],
  path: Path,
  fail: Fail,
): string {
  const parts = values.map(({ axis, value }) => {
    const name = isMap(value) ? value["name"] : value;
    if (typeof name === "string" || typeof name === "number" || typeof name === "boolean")
      return escapePart(String(name));
    return fail(
      [...path, "axes", axis],
      "a value that is a map needs a `name`, and a list cannot be part of a key: give `key`",
    );
  });
  return [family, ...parts].join("-");
}

export function escapePart(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("-", "%2D");
}
