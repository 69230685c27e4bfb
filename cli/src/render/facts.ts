import type { Terminal } from "../terminal.ts";
import { plainText } from "./plain-text.ts";

/** What is known of one thing, a line each: the name in a column, then the value. */
export function renderFacts({ colors }: Terminal, facts: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${colors.dim(name.padEnd(width))}  ${plainText(value)}`).join("\n");
}
