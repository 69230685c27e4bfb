import type { Diagnostic } from "@shipfox/shared/api/definitions";
import type { Colors } from "../terminal.ts";
import { plainText } from "./plain-text.ts";

export type Severity = "error" | "warning";

/**
 * `file:line:column: error[code]: message`; with `excerpt` then the line of the file with a caret under the column, and
 * the suggestion.
 */
export function renderDiagnostic(
  file: string,
  source: string,
  diagnostic: Diagnostic,
  options: { severity: Severity; colors: Colors; excerpt: boolean },
): string {
  const { colors, severity, excerpt } = options;
  const paint = severity === "error" ? colors.red : colors.yellow;
  const place = colors.bold(`${file}:${diagnostic.line}:${diagnostic.column}:`);
  const label = paint(`${severity}[${diagnostic.code}]:`);
  const lines = [`${place} ${label} ${plainText(diagnostic.message)}`];
  if (!excerpt) return lines.join("\n");
  const text = source.split(/\r?\n/)[diagnostic.line - 1];
  if (text !== undefined && text.trim() !== "") {
    const gutter = `${diagnostic.line} | `;
    // Tabs stay tabs, so that the caret stands under its character whatever a tab's width is.
    const indent = text.slice(0, Math.max(0, diagnostic.column - 1)).replace(/[^\t]/g, " ");
    lines.push(`${colors.dim(gutter)}${plainText(text)}`, `${" ".repeat(gutter.length)}${indent}${paint("^")}`);
  }
  if (diagnostic.suggestion !== undefined)
    lines.push(`  ${colors.dim("write instead:")} ${plainText(diagnostic.suggestion)}`);
  return lines.join("\n");
}
