import type { DiagnosticLog } from "../diagnostics.ts";
import type { EnvDocument } from "../document/document.ts";
import { type Template, unescapeLiteral } from "../expressions/template.ts";
import type { Path, SourceMap } from "../yaml/source-map.ts";

/** The variables as the step will see them: always text. */
export function envTexts(env: EnvDocument | undefined): Record<string, string> {
  const pairs = Object.entries(env ?? {});
  return Object.fromEntries(pairs.map(([name, value]) => [name, unescapeLiteral(String(value))]));
}

/** As `envTexts`, with the expressions read by `read`. */
export function envTemplates(
  env: EnvDocument | undefined,
  path: Path,
  read: (text: string, path: Path) => Template,
): Record<string, Template> {
  const pairs = Object.entries(env ?? {});
  return Object.fromEntries(pairs.map(([name, value]) => [name, read(String(value), [...path, name])]));
}

/** Characters of the names and values together. */
export function envCharacters(env: Record<string, string>): number {
  return Object.entries(env).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}

/** Warns of unquoted values that YAML turns into another text, such as 1.10, 0x1F or True. */
export function warnOfRewrittenValues(
  env: EnvDocument | undefined,
  path: Path,
  source: SourceMap,
  log: DiagnosticLog,
): void {
  for (const [name, value] of Object.entries(env ?? {})) warnOfRewrittenValue(value, [...path, name], source, log);
}

export function warnOfRewrittenValue(
  value: string | number | boolean,
  path: Path,
  source: SourceMap,
  log: DiagnosticLog,
): void {
  if (typeof value === "string") return;
  const written = source.plainText(path);
  if (written === null || written === String(value)) return;
  const suggestion = JSON.stringify(written);
  const message = `YAML reads ${written} as ${value}, and the step will see ${value}; write ${suggestion} to keep the text`;
  log.add({ code: "rewritten-env-value", message, path, suggestion });
}
