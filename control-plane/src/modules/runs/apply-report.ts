import type { reportBodySchema } from "@shipfox/shared/machine";
import type { z } from "zod";
import type { WriteTx } from "../../store/store.ts";
import { literalTextOf, parseValues, stringifyValues } from "../workflow/public.ts";
import { keepCommit } from "./checked-out-commit.ts";
import type { Viewpoint } from "./contexts.ts";
import { fill, judge } from "./evaluate.ts";
import { decideGate, type GateVerdict } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { countRestarts, type ExecutionFacts, finishStep, rewindSteps, type StepFacts } from "./store.ts";

/** What later steps are told when the workflow says nothing. Source: the published language. */
const DEFAULT_FEEDBACK = "gate condition not met";
const MAX_FEEDBACK_CHARACTERS = 65_536;

type Report = z.output<typeof reportBodySchema>;

/** A report as it counts: with outputs in their types, and what the gate made of it. */
interface Judged {
  readonly verdict: GateVerdict;
  readonly gateMessage: string | null;
  readonly error: Record<string, unknown> | null;
  readonly outputs: string | null;
  readonly feedback: string | null;
}

/** Ends the running attempt of a step with the report of its runner, and answers all steps as they are then. */
export async function applyReport(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  steps: StepFacts[],
  step: StepFacts,
  body: Report,
  now: number,
): Promise<StepFacts[]> {
  const output = body.checkout ? { ...body.output, checkout: body.checkout } : (body.output ?? null);
  const exitCode = body.exit_code ?? body.error?.exit_code ?? null;
  const judged = await judgeReport(tx, deps, facts, step, { ...body, output, exitCode });
  const { verdict } = judged;
  await finishStep(
    tx,
    step,
    {
      status: verdict.status,
      exitCode,
      error: judged.error === null ? null : JSON.stringify(judged.error),
      output: output === null ? null : JSON.stringify(output),
      outputs: judged.outputs,
      gateResult: step.rules?.gate ? JSON.stringify(gateResult(step, judged, exitCode)) : null,
      restartFeedback: judged.feedback,
      logOutcome: body.log_outcome,
    },
    now,
  );
  await deps.logs.closeStream(
    tx,
    {
      workspaceId: facts.workspace_id,
      runId: facts.run_id,
      executionId: facts.id,
      stepId: step.id,
      attempt: step.currentAttempt,
    },
    { truncated: body.log_outcome === "abandoned", now },
  );
  if (body.checkout && verdict.status === "succeeded") await keepCommit(tx, facts, step, body.checkout.commit);
  const about = { ...facts, stepId: step.id };
  const finished = { name: step.name, attempt: step.currentAttempt, status: verdict.status, exit_code: exitCode };
  record(tx, about, "step.finished", finished, now);
  const from = judged.feedback === null ? null : restartPosition(steps, step);
  if (from === null) return steps.map((each) => (each.id === step.id ? { ...each, status: verdict.status } : each));
  await rewindSteps(tx, facts.id, from, now);
  const restarted = {
    name: step.name,
    attempt: step.currentAttempt,
    restart_from: step.rules?.gate?.restartFrom ?? "",
  };
  record(tx, about, "step.restarted", restarted, now);
  return steps.map((each) =>
    each.position < from ? each : { ...each, status: "pending", currentAttempt: each.currentAttempt + 1 },
  );
}

async function judgeReport(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  step: StepFacts,
  body: Pick<Report, "status" | "error" | "output"> & { exitCode: number | null },
): Promise<Judged> {
  const { exitCode } = body;
  const error = body.error ? { ...body.error, category: step.type === "run" ? "user" : "setup" } : null;
  const typed = typedOutputs(tx, deps, step, body);
  if (!typed.ok) {
    const verdict = { status: "failed", kind: "not_evaluated", reason: null, restarts: false } as const;
    const wrong = { message: typed.message, reason: "output_invalid", category: "user" };
    return { verdict, gateMessage: null, error: wrong, outputs: null, feedback: null };
  }
  const outputs = typed.outputs === null ? null : stringifyValues(typed.outputs);
  const gate = step.rules?.gate;
  if (!gate)
    return {
      verdict: decideGate({ status: body.status, exitCode }, null),
      gateMessage: null,
      error,
      outputs,
      feedback: null,
    };

  const viewpoint: Viewpoint = {
    runId: facts.run_id,
    runAttemptId: facts.run_attempt_id,
    job: { id: facts.job_id, model: JSON.parse(facts.job_model) },
    step: {
      at: "report",
      exitCode,
      status: body.status,
      outputs: typed.outputs ?? parseValues(JSON.stringify(body.output ?? {})),
    },
  };
  const judged = gate.success !== null && exitCode !== null ? await judge(tx, deps, viewpoint, gate.success) : null;
  const verdict = decideGate(
    { status: body.status, exitCode },
    {
      judged: gate.success === null ? null : (judged?.verdict ?? "errored"),
      restarts: gate.restartFrom === null ? null : await countRestarts(tx, facts.id, step.id),
    },
  );
  const gateMessage = judged?.message ?? null;
  const said = verdict.status === "succeeded" ? null : (error ?? gateError(verdict, gate.success, gateMessage));
  if (!verdict.restarts) return { verdict, gateMessage, error: said, outputs, feedback: null };

  const feedback = await fill(tx, deps, viewpoint, { feedback: gate.feedback ?? [] });
  if (feedback.ok) {
    const text = literalTextOf(feedback.templates["feedback"] ?? [])
      .slice(0, MAX_FEEDBACK_CHARACTERS)
      .toWellFormed();
    return { verdict, gateMessage, error: said, outputs, feedback: gate.feedback === null ? DEFAULT_FEEDBACK : text };
  }
  const message = `the feedback of the gate has no value: ${feedback.message}`;
  const plain = { ...verdict, restarts: false, reason: "gate_error" } as const;
  return { verdict: plain, gateMessage: message, error: { message, category: "user" }, outputs, feedback: null };
}

/** Outputs in their declared types. Null without a declaration, and for a failed step: those stay as they were written. */
function typedOutputs(
  tx: WriteTx,
  { evaluator }: RunsDeps,
  step: StepFacts,
  body: Pick<Report, "status" | "output">,
): { ok: true; outputs: Record<string, unknown> | null } | { ok: false; message: string } {
  const declared = step.rules?.outputs;
  if (!declared || body.status === "failed") return { ok: true, outputs: null };
  const written = Object.entries(body.output ?? {}).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  return evaluator.coerceIn(tx, { written: Object.fromEntries(written), declared });
}

function gateError(verdict: GateVerdict, success: string | null, detail: string | null): Record<string, unknown> {
  const why = {
    gate_failed: `the gate rejected the result: \`${success}\` is false`,
    gate_error: `the gate could not judge the result${detail === null ? "" : `: ${detail}`}`,
    restart_exhausted: `the gate rejected the result for the last time it may restart the job: \`${success}\` is false`,
  };
  return { message: verdict.reason === null ? "the step failed" : why[verdict.reason], category: "user" };
}

function gateResult(step: StepFacts, { verdict, gateMessage }: Judged, exitCode: number | null) {
  return {
    kind: verdict.kind,
    source: step.rules?.gate?.success ?? null,
    exit_code: exitCode,
    reason: verdict.reason === null ? gateMessage : verdict.reason,
  };
}

function restartPosition(steps: readonly StepFacts[], step: StepFacts): number | null {
  const target = step.rules?.gate?.restartFrom;
  return steps.find(({ key }) => key !== null && key === target)?.position ?? null;
}
