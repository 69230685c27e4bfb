import { ApiError } from "@shipfox/shared/errors";
import type { InfrastructureCause } from "@shipfox/shared/failure";
import type { LeasedStep, reportBodySchema } from "@shipfox/shared/machine";
import type { z } from "zod";
import type { WriteTx } from "../../store/store.ts";
import type { JobModel } from "../workflow/public.ts";
import { applyReport } from "./apply-report.ts";
import { beginStep, judgeStep } from "./begin-step.ts";
import { endExecution } from "./end-execution.ts";
import { endOpenSteps } from "./end-open-steps.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { decideLast, decideNextStep, decideReport, isTerminal } from "./model.ts";
import {
  endUnstartedStep,
  loadSteps,
  lockExecution,
  startExecution,
  type ExecutionFacts,
  type StepFacts,
} from "./store.ts";

/** What steps/next answers, without the lease token, which the caller signs. */
export type NextStepResult =
  | {
      readonly kind: "step";
      readonly step: LeasedStep;
      readonly attempt: number;
      readonly last: { readonly succeeded: boolean; readonly failed: boolean };
    }
  | { readonly kind: "done"; readonly status: "succeeded" | "failed" };

/** A runner has claimed the execution. Answers null when it is not there to be claimed any more. */
export async function executionClaimed(
  tx: WriteTx,
  deps: RunsDeps,
  executionId: string,
  runnerId: string,
  now: number,
): Promise<ExecutionFacts | null> {
  const facts = await lockExecution(tx, deps.forUpdate, executionId);
  if (!facts || facts.status !== "pending") return null;
  const model = JSON.parse(facts.job_model) as JobModel;
  const dueAt = facts.due_at ?? now + model.executionTimeoutMs;
  deps.dispatch.dueAt(tx, dueAt);
  const runStarted = await startExecution(tx, facts, runnerId, dueAt, now);
  if (runStarted) record(tx, facts, "run.started", { status: "running" }, now);
  record(tx, facts, "job.started", { key: facts.job_key, sequence: facts.sequence, runner_id: runnerId }, now);
  return { ...facts, status: "running" };
}

/** The first step of an execution that the same unit has claimed. */
export async function firstStep(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  now: number,
): Promise<NextStepResult> {
  return advance(tx, deps, facts, await loadSteps(tx, facts), now);
}

/** The next step of an execution whose lease is live. Ends the execution when nothing is left to run. */
export async function nextStep(tx: WriteTx, deps: RunsDeps, executionId: string, now: number): Promise<NextStepResult> {
  const facts = await lockExecution(tx, deps.forUpdate, executionId);
  if (!facts) throw new ApiError("job-not-found", "the job was removed");
  return advance(tx, deps, facts, await loadSteps(tx, facts), now);
}

/** Skips what must not run and starts the first step that may, one at a time until one starts or none is left. */
async function advance(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  loaded: StepFacts[],
  now: number,
): Promise<NextStepResult> {
  let steps = loaded;
  const settle = (step: StepFacts, status: StepFacts["status"]) => {
    steps = steps.map((each) => (each.id === step.id ? { ...each, status } : each));
  };
  for (;;) {
    const next = decideNextStep(steps);
    if (next.kind === "repeat") return handedOut(next.step, next.step.updated_at, steps);
    if (next.kind === "done") {
      await skipSteps(tx, facts, next.skipped, now);
      const status = facts.status === "running" ? await finishByResult(tx, deps, facts, next.status, now) : next.status;
      return { kind: "done", status };
    }
    if (next.kind === "ask") {
      await skipSteps(tx, facts, next.skipped, now);
      for (const skipped of next.skipped) settle(skipped, "skipped");
      const verdict = await judgeStep(tx, deps, facts, next.step);
      if (verdict !== "accepted") {
        await skipSteps(tx, facts, [next.step], now, `condition_${verdict}`);
        settle(next.step, "skipped");
        continue;
      }
    }
    const started = await beginStep(tx, deps, facts, next.step, now);
    settle(next.step, started.status);
    if (started.status === "running") return handedOut(started, now, steps);
  }
}

function handedOut(step: StepFacts, updatedAt: number, steps: readonly StepFacts[]): NextStepResult {
  return { kind: "step", step: leased(step, updatedAt), attempt: step.currentAttempt, last: decideLast(steps, step) };
}

async function skipSteps(
  tx: WriteTx,
  facts: ExecutionFacts,
  steps: readonly StepFacts[],
  now: number,
  reason: "default_gate_rejected" | "condition_rejected" | "condition_errored" = "default_gate_rejected",
): Promise<void> {
  for (const step of steps) {
    await endUnstartedStep(tx, step.id, "skipped", reason, now);
    const skipped = { name: step.name, attempt: step.currentAttempt, status: "skipped", exit_code: null } as const;
    record(tx, { ...facts, stepId: step.id }, "step.finished", skipped, now);
  }
}

/** Ends an execution whose steps have all ended, and answers what that made of it. */
async function finishByResult(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  status: "succeeded" | "failed",
  now: number,
): Promise<"succeeded" | "failed"> {
  await deps.dispatch.finishLease(tx, facts.id, now);
  return endExecution(
    tx,
    deps,
    facts,
    status === "succeeded" ? { kind: "succeeded" } : { kind: "failed", reason: "step_failed" },
    { now },
  );
}

/**
 * Takes a step's result. A repeated or outdated report changes nothing and is answered like the first.
 *
 * `cancel` is true when the whole execution has ended and did not succeed: the runner has nothing more to do.
 */
export async function reportStep(
  tx: WriteTx,
  deps: RunsDeps,
  executionId: string,
  stepId: string,
  body: z.output<typeof reportBodySchema>,
  now: number,
): Promise<{ cancel: boolean; next: NextStepResult | null }> {
  const facts = await lockExecution(tx, deps.forUpdate, executionId);
  if (!facts) throw new ApiError("job-not-found", "the job was removed");
  const steps = await loadSteps(tx, facts);
  const step = steps.find((candidate) => candidate.id === stepId);
  if (!step) throw new ApiError("step-not-found", "the step does not belong to this job");
  let current = steps;
  switch (decideReport(step, body.attempt ?? step.currentAttempt)) {
    case "ahead":
      throw new ApiError(
        "step-attempt-ahead",
        `attempt ${body.attempt} has not been started; the current one is ${step.currentAttempt}`,
      );
    case "not-running":
      throw new ApiError("step-not-running", "the step has not been started; ask for the next step first");
    case "finish":
      current = await applyReport(tx, deps, facts, steps, step, body, now);
      break;
    case "already-known":
      break;
  }
  const over = current.every((candidate) => isTerminal(candidate.status));
  const failed = current.some((candidate) => candidate.status === "failed" || candidate.status === "cancelled");
  if (over || body.next) {
    const next = isTerminal(facts.status)
      ? ({ kind: "done", status: facts.status === "succeeded" ? "succeeded" : "failed" } as const)
      : await advance(tx, deps, facts, current, now);
    return { cancel: over && failed, next: body.next ? next : null };
  }
  return { cancel: false, next: null };
}

/**
 * The runner is gone or gave the job back. When the steps already decide the result, it is adopted; otherwise the
 * execution ends as lost and the job is queued again within its bound. The caller has ended the lease.
 */
export async function executionLost(
  tx: WriteTx,
  deps: RunsDeps,
  executionId: string,
  loss: { cause: InfrastructureCause; message: string; avoidedSessionId: string | null },
  now: number,
): Promise<void> {
  const facts = await lockExecution(tx, deps.forUpdate, executionId);
  if (!facts || facts.status !== "running") return;
  const next = decideNextStep(await loadSteps(tx, facts));
  if (next.kind === "done") {
    await skipSteps(tx, facts, next.skipped, now);
    await endExecution(
      tx,
      deps,
      facts,
      next.status === "succeeded" ? { kind: "succeeded" } : { kind: "failed", reason: "step_failed" },
      { now },
    );
    return;
  }
  await endOpenSteps(tx, facts, { status: "cancelled", message: loss.message }, now);
  await endExecution(
    tx,
    deps,
    facts,
    { kind: "infrastructure", cause: loss.cause, message: loss.message },
    { now, avoidedSessionId: loss.avoidedSessionId },
  );
}

function leased(step: StepFacts, updatedAt: number): LeasedStep {
  return {
    id: step.id,
    job_execution_id: step.job_execution_id,
    key: step.key,
    name: step.name,
    source_location: step.source_location === null ? null : JSON.parse(step.source_location),
    status: step.status,
    status_reason: step.status_reason,
    type: step.type,
    config: JSON.parse(step.config),
    evaluation_trace: null,
    error: step.error === null ? null : JSON.parse(step.error),
    position: step.position,
    current_attempt: step.currentAttempt,
    created_at: new Date(step.created_at).toISOString(),
    updated_at: new Date(updatedAt).toISOString(),
  };
}
