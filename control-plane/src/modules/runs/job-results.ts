import type { JobStatusReason } from "@shipfox/shared/api/runs";
import type { WriteTx } from "../../store/store.ts";
import { type Expression, type JobModel, sourcesOf, stringifyValues } from "../workflow/public.ts";
import { contextOf, type Viewpoint } from "./contexts.ts";
import { fill, judge, textOf } from "./evaluate.ts";
import type { ExecutionEnd, JobVerdict } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import type { ExecutionFacts } from "./store.ts";

/** Bounds of what a job publishes. Source: the published language. */
const MAX_OUTPUT_BYTES = 65_536;
const MAX_OUTPUTS_BYTES = 262_144;

type Evaluating = Pick<RunsDeps, "evaluator">;

function viewpointOf(facts: ExecutionFacts, model: JobModel): Viewpoint {
  return {
    runId: facts.run_id,
    runAttemptId: facts.run_attempt_id,
    job: { id: facts.job_id, model },
    executionId: facts.id,
  };
}

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
  facts: ExecutionFacts,
  model: JobModel,
  end: ExecutionEnd,
): Promise<Published> {
  if (end.kind !== "succeeded" || !model.outputs) return { end, outputs: null, message: null };
  const values: Record<string, unknown> = {};
  const viewpoint = viewpointOf(facts, model);
  for (const [name, template] of Object.entries(model.outputs)) {
    const value = await outputValue(tx, deps, viewpoint, template);
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

type Value = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string };

/** A template that is exactly one expression keeps the type of its value; any other is text. */
async function outputValue(
  tx: WriteTx,
  deps: Evaluating,
  viewpoint: Viewpoint,
  template: NonNullable<JobModel["outputs"]>[string],
): Promise<Value> {
  const [source, ...others] = sourcesOf(template);
  if (source !== undefined && others.length === 0 && template.length === 1) {
    const expression: Expression = { source, as: "value" };
    const context = await contextOf(tx, viewpoint, [source]);
    const [result] = deps.evaluator.evaluateIn(tx, { context, expressions: [expression] });
    return result ?? { ok: false, message: "" };
  }
  const filled = await fill(tx, deps, viewpoint, { output: template });
  if (!filled.ok) return { ok: false, message: filled.message };
  return { ok: true, value: textOf(filled.templates["output"] ?? []) };
}

export interface JobEnd {
  readonly status: "succeeded" | "failed";
  readonly reason: JobStatusReason | null;
  readonly message?: string;
}

/** What the success condition of a job makes of how its executions ended; without one, what the last one says. */
export async function judgeSuccess(
  tx: WriteTx,
  deps: Evaluating,
  facts: ExecutionFacts,
  model: JobModel,
  decided: Extract<JobVerdict, { kind: "finish" }>,
): Promise<JobEnd> {
  if (model.success === undefined) return { status: decided.status, reason: decided.reason };
  const { verdict, message } = await judge(tx, deps, viewpointOf(facts, model), model.success);
  if (verdict === "accepted") return { status: "succeeded", reason: null };
  if (verdict === "rejected") return { status: "failed", reason: decided.reason ?? "step_failed" };
  return { status: "failed", reason: "unknown", message: `\`success\` of the job has no value: ${message ?? ""}` };
}
