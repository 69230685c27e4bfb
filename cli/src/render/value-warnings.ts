import type { ValueWarning } from "@shipfox/shared/api/scoped-values";
import type { CommandContext } from "../command-context.ts";
import { plainText } from "./plain-text.ts";

/** What the server thought of a value, under the result. */
export function warningLines({ terminal }: CommandContext, warnings: readonly ValueWarning[]): string[] {
  return warnings.map(({ key, message, code }) => {
    return `  ${terminal.colors.yellow("!")} ${plainText(key)}: ${plainText(message)} ${terminal.colors.dim(`(${code})`)}`;
  });
}
