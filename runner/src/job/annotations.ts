import { annotationContext, annotationStyleSchema } from "@shipfox/shared/api/annotations";
import type { AnnotationOperation } from "@shipfox/shared/machine";
import { z } from "zod";
import type { LogRemark } from "../logs/commands.ts";

/** The context of SHIPFOX_STEP_SUMMARY. */
export const SUMMARY_CONTEXT = "default";

const fileSchema = z.discriminatedUnion("op", [
  z.object({
    op: z.enum(["replace", "append"]),
    context: annotationContext,
    style: annotationStyleSchema.optional(),
    body: z.string(),
  }),
  z.object({ op: z.literal("remove"), context: annotationContext }),
]);

/** One file of SHIPFOX_ANNOTATIONS_DIR: `{context, style?, op?, body}`. Answers what is wrong as a sentence part. */
export function parseAnnotationFile(content: string): AnnotationOperation | { fault: string } {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return { fault: "it is not JSON" };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { fault: "it is not a JSON object" };
  const parsed = fileSchema.safeParse({ op: "replace", ...value });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  return { fault: `${issue?.path.join(".") || "value"}: ${issue?.message ?? "not understood"}` };
}

/**
 * At most one operation per context, in the order in which the contexts were first named, with the same effect as all of
 * `operations` in order.
 */
export function foldOperations(operations: readonly AnnotationOperation[]): AnnotationOperation[] {
  const folded = new Map<string, AnnotationOperation>();
  for (const operation of operations) {
    const before = folded.get(operation.context);
    folded.set(operation.context, before ? foldPair(before, operation) : operation);
  }
  return [...folded.values()];
}

function foldPair(before: AnnotationOperation, next: AnnotationOperation): AnnotationOperation {
  if (next.op !== "append") return next;
  if (before.op === "remove") return { ...next, op: "replace" };
  const style = next.style ?? before.style;
  return {
    op: before.op,
    context: next.context,
    ...(style ? { style } : {}),
    body: joinBodies(before.body, next.body),
  };
}

/** As the control plane joins what is appended. */
function joinBodies(before: string, after: string): string {
  return before === "" || before.endsWith("\n") ? before + after : `${before}\n${after}`;
}

/** A remark as Markdown. What the step printed stands in a code block, so nothing of it is markup. */
export function remarkBody({ title, file, line, column, message }: LogRemark): string {
  const place =
    file === null ? null : [file, line, line === null ? null : column].filter((part) => part !== null).join(":");
  const head = [title === null ? null : `**${escapeMarkdown(title)}**`, place === null ? null : codeSpan(place)];
  const headLine = head.filter((part) => part !== null).join(" ");
  return `${headLine === "" ? "" : `${headLine}\n\n`}${codeBlock(message)}`;
}

function codeBlock(text: string): string {
  const fence = "`".repeat(Math.max(3, longestRun(text) + 1));
  return `${fence}text\n${text}\n${fence}`;
}

function codeSpan(text: string): string {
  const fence = "`".repeat(longestRun(text) + 1);
  const pad = text.startsWith("`") || text.endsWith("`") ? " " : "";
  return `${fence}${pad}${text}${pad}${fence}`;
}

function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
}

function escapeMarkdown(text: string): string {
  return text.replaceAll(/[\\`*_{}[\]()#+\-.!|<>~&]/g, "\\$&");
}
