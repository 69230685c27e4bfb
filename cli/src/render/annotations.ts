import type { Annotation, AnnotationStyle } from "@shipfox/shared/api/annotations";
import type { RunDetail } from "@shipfox/shared/api/runs";
import type { Colors } from "../terminal.ts";
import { plainText } from "./plain-text.ts";

/** The rest of a long text is counted; all of it is in the JSON document. */
const MAX_SHOWN_LINES = 20;
/** What needs somebody comes first. */
const ORDER: readonly AnnotationStyle[] = ["error", "warning", "info", "success", "default"];
const WORDS: Record<AnnotationStyle, readonly [one: string, many: string]> = {
  error: ["error", "errors"],
  warning: ["warning", "warnings"],
  info: ["notice", "notices"],
  success: ["success", "successes"],
  default: ["note", "notes"],
};

/** What steps said beside their logs: how many of each style, then each with its job and step, errors first. */
export function renderAnnotations(run: RunDetail, annotations: readonly Annotation[], colors: Colors): string[] {
  if (annotations.length === 0) return [];
  const byStyle = Map.groupBy(annotations, ({ style }) => style);
  const origins = originsOf(run);
  const counts: string[] = [];
  const lines: string[] = [];
  for (const style of ORDER) {
    const group = byStyle.get(style) ?? [];
    if (group.length === 0) continue;
    counts.push(`${group.length} ${WORDS[style][group.length === 1 ? 0 : 1]}`);
    for (const annotation of group) {
      const origin = origins.get(annotation.origin_step_id) ?? "";
      lines.push(`  ${inStyle(style, symbolOf(style), colors)} ${colors.dim(plainText(origin))}`);
      lines.push(...bodyLines(annotation.body));
    }
  }
  return ["", `${colors.bold("annotations:")} ${counts.join(", ")}`, ...lines];
}

function originsOf(run: RunDetail): Map<string, string> {
  const origins = new Map<string, string>();
  for (const job of run.jobs) {
    for (const { steps } of job.job_executions) {
      for (const step of steps) origins.set(step.id, `${job.key} › ${step.name}`);
    }
  }
  return origins;
}

function bodyLines(body: string): string[] {
  const lines = body.trimEnd().split(/\r?\n/);
  const shown = lines.slice(0, MAX_SHOWN_LINES).map((line) => `    ${plainText(line)}`.trimEnd());
  const left = lines.length - MAX_SHOWN_LINES;
  return left > 0 ? [...shown, `    … ${left} more lines`] : shown;
}

function symbolOf(style: AnnotationStyle): string {
  return { error: "✗", warning: "!", info: "i", success: "✓", default: "·" }[style];
}

function inStyle(style: AnnotationStyle, text: string, colors: Colors): string {
  switch (style) {
    case "error":
      return colors.red(text);
    case "warning":
      return colors.yellow(text);
    case "info":
      return colors.cyan(text);
    case "success":
      return colors.green(text);
    case "default":
      return colors.dim(text);
  }
}
