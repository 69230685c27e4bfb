import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Route } from "./route.ts";

/** A call as it was made and answered once; ids, times and secrets are invented. */
export interface Example {
  readonly request?: unknown;
  readonly status: number;
  readonly reply?: unknown;
}

export type Examples = Readonly<Record<string, Example>>;

/** Written by the contract test: `SHIPFOX_WRITE_EXAMPLES=1 npx vitest run control-plane/src/http/contract.test.ts`. */
export const EXAMPLES_FILE = fileURLToPath(new URL("examples.json", import.meta.url));

let examples: Examples | undefined;

export function exampleOf(route: Pick<Route, "method" | "path">): Example | undefined {
  examples ??= JSON.parse(readFileSync(EXAMPLES_FILE, "utf8")) as Examples;
  return examples[`${route.method} ${route.path}`];
}
