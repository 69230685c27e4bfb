import type { JobStatusReason } from "@shipfox/shared/api/runs";
import type { WriteTx } from "../../store/store.ts";
import {
  type Evaluated,
  type Expression,
  type JobModel,
  literalTextOf,
  sourcesOf,
  stringifyValues,
  substitute,
  type Template,
} from "../workflow/public.ts";
import { contextOf, type Viewpoint, viewpointOf } from "./contexts.ts";
import { judge } from "./evaluate.ts";
import type { ExecutionEnd, JobVerdict } from "./model.ts";
import type { RunsDeps } from "./ports.ts";

/** Bounds of what a job publishes. Source: the published language. */
const MAX_OUTPUT_BYTES = 65_536;
const MAX_OUTPUTS_BYTES = 262_144;

type Evaluating = Pick<RunsDeps, "evaluator">;

interface Published {
  readonly end: ExecutionEnd;
  /** As `stringifyValues` writes them; null when the job declares none, or did not succeed. */
  readonly outputs: string | null;
  readonly message: string | null;
}

/** The outputs of an execution that succeeded. What cannot be published makes it fail. */
export async function publishOutputs(
  tx: WriteTx,
  deps: Evaluating,
  viewpoint: Viewpoint,
  model: JobModel,
  end: ExecutionEnd,
): Promise<Published> {
  if (end.kind !== "succeeded" || !model.outputs) return { end, outputs: null, message: null };
  const values: Record<string, unknown> = {};
  const evaluated = await evaluateOutputs(tx, deps, viewpoint, Object.values(model.outputs));
  for (const [name, template] of Object.entries(model.outputs)) {
    const value = outputValue(template, evaluated);
    if (!value.ok) return failed("output_invalid", `the output "${name}" has no value: ${value.message}`);
    const bytes = Buffer.byteLength(stringifyValues(value.value));
    if (bytes > MAX_OUTPUT_BYTES)
      return failed(
        "output_too_large",
        `the output "${name}" has ${bytes} bytes; at most ${MAX_OUTPUT_BYTES} are allowed`,
      );
    values[name] = value.value;
  }
  const outputs = stringifyValues(values);
  if (Buffer.byteLength(outputs) <= MAX_OUTPUTS_BYTES) return { end, outputs, message: null };
  return failed("output_too_large", `the outputs of the job have more than ${MAX_OUTPUTS_BYTES} bytes together`);
}

function failed(reason: JobStatusReason, message: string): Published {
  return { end: { kind: "failed", reason }, outputs: null, message };
}

type Outputs = ReadonlyMap<string, Evaluated>;

/** The expressions of all outputs, over what they see together. */
export async function evaluateOutputs(
  tx: WriteTx,
  { evaluator }: Evaluating,
  viewpoint: Viewpoint,
  templates: readonly Template[],
): Promise<Outputs> {
  const wanted = new Map<string, Expression>();
  for (const template of templates) {
    const as = isOneExpression(template) ? "value" : "text";
    for (const source of sourcesOf(template)) wanted.set(keyOf(source, as), { source, as });
  }
  const expressions = [...wanted.values()];
  const context = await contextOf(
    tx,
    viewpoint,
    expressions.map(({ source }) => source),
  );
  const results = evaluator.evaluateIn(tx, { context, expressions });
  return new Map([...wanted.keys()].flatMap((key, index) => (results[index] ? [[key, results[index]]] : [])));
}

/** A template that is exactly one expression keeps the type of its value; any other is text. */
export function outputValue(template: Template, evaluated: Outputs): Evaluated {
  const resultOf = (source: string, as: Expression["as"]): Evaluated =>
    evaluated.get(keyOf(source, as)) ?? { ok: false, message: "" };
  const [first] = sourcesOf(template);
  if (first !== undefined && isOneExpression(template)) return resultOf(first, "value");
  const results = new Map(sourcesOf(template).map((source) => [source, resultOf(source, "text")]));
  for (const result of results.values()) if (!result.ok) return result;
  const filled = substitute(template, (segment) => {
    const result = segment.kind === "expression" ? results.get(segment.source) : undefined;
    return result?.ok ? String(result.value) : undefined;
  });
  return { ok: true, value: literalTextOf(filled) };
}

function isOneExpression(template: Template): boolean {
  return template.length === 1 && template[0]?.kind === "expression";
}

function keyOf(source: string, as: Expression["as"]): string {
  return `${as} ${source}`;
}

export interface JobEnd {
  readonly status: "succeeded" | "failed";
  readonly reason: JobStatusReason | null;
  readonly message?: string;
}

/** What the success condition of a job makes of how its executions ended; without one, what they say by themselves. */
export async function judgeSuccess(
  tx: WriteTx,
  deps: Evaluating,
  facts: Parameters<typeof viewpointOf>[0],
  model: JobModel,
  decided: Omit<Extract<JobVerdict, { kind: "finish" }>, "kind">,
): Promise<JobEnd> {
  if (model.success === undefined) return { status: decided.status, reason: decided.reason };
  const { verdict, message } = await judge(tx, deps, viewpointOf(facts, model), model.success);
  if (verdict === "accepted") return { status: "succeeded", reason: null };
  if (verdict === "rejected") return { status: "failed", reason: decided.reason ?? "step_failed" };
  return { status: "failed", reason: "unknown", message: `\`success\` of the job has no value: ${message ?? ""}` };
}
