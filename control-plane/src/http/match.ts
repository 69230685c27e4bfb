import type { Route } from "./route.ts";

/** Routes by method and number of segments; within one bucket fixed segments win over parameters. */
export type RouteIndex = ReadonlyMap<string, readonly CompiledRoute[]>;

interface CompiledRoute {
  readonly route: Route;
  /** null marks a parameter; its name stands at the same place in `names`. */
  readonly fixed: readonly (string | null)[];
  readonly names: readonly string[];
}

export function indexRoutes(routes: readonly Route[]): RouteIndex {
  const index = new Map<string, CompiledRoute[]>();
  for (const route of routes) {
    const segments = route.path.split("/").slice(1);
    const compiled: CompiledRoute = {
      route,
      fixed: segments.map((segment) => (segment.startsWith("{") ? null : segment)),
      names: segments.map((segment) => (segment.startsWith("{") ? segment.slice(1, -1) : "")),
    };
    const key = `${route.method} ${segments.length}`;
    index.set(
      key,
      [...(index.get(key) ?? []), compiled].sort((left, right) => specificity(right) - specificity(left)),
    );
  }
  return index;
}

function specificity(compiled: CompiledRoute): number {
  return compiled.fixed.filter((segment) => segment !== null).length;
}

export function findRoute(
  index: RouteIndex,
  method: string,
  path: string,
): { route: Route; params: Record<string, string> } | null {
  const segments = path.split("/").slice(1);
  for (const { route, fixed, names } of index.get(`${method} ${segments.length}`) ?? []) {
    if (fixed.every((segment, at) => segment === null || segment === segments[at])) {
      const params: Record<string, string> = {};
      for (const [at, name] of names.entries()) if (name) params[name] = decode(segments[at] as string);
      return { route, params };
    }
  }
  return null;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
