import { ApiError } from "@shipfox/shared/errors";
import type { InfrastructureCause } from "@shipfox/shared/failure";
import { newId } from "@shipfox/shared/ids";
import type { LeasedStep, reportBodySchema } from "@shipfox/shared/machine";
import type { z } from "zod";
import type { WriteTx } from "../../store/store.ts";
import type { JobModel } from "../workflow/public.ts";
import { endExecution, endOpenSteps } from "./end-execution.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { decideLast, decideNextStep, decideReport, isTerminal } from "./model.ts";
import {
  endUnstartedStep,
  finishStep,
  loadSteps,
  lockExecution,
  startExecution,
  startStep,
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
  return advance(tx, deps, facts, await loadSteps(tx, facts.id), now);
}

/** The next step of an execution whose lease is live. Ends the execution when nothing is left to run. */
export async function nextStep(tx: WriteTx, deps: RunsDeps, executionId: string, now: number): Promise<NextStepResult> {
  const facts = await lockExecution(tx, deps.forUpdate, executionId);
  if (!facts) throw new ApiError("job-not-found", "the job was removed");
  return advance(tx, deps, facts, await loadSteps(tx, executionId), now);
}

async function advance(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  steps: StepFacts[],
  now: number,
): Promise<NextStepResult> {
  const next = decideNextStep(steps);
  switch (next.kind) {
    case "repeat":
      return {
        kind: "step",
        step: leased(next.step, next.step.updated_at),
        attempt: next.step.currentAttempt,
        last: decideLast(steps, next.step),
      };
    case "start": {
      await startStep(tx, newId(now), next.step, now);
      record(
        tx,
        { ...facts, stepId: next.step.id },
        "step.started",
        { name: next.step.name, attempt: next.step.currentAttempt },
        now,
      );
      return {
        kind: "step",
        step: leased({ ...next.step, status: "running" }, now),
        attempt: next.step.currentAttempt,
        last: decideLast(steps, next.step),
      };
    }
    case "done": {
      await skipSteps(tx, facts, next.skipped, now);
      if (facts.status === "running") await finishByResult(tx, deps, facts, next.status, now);
      return { kind: "done", status: next.status };
    }
  }
}

async function skipSteps(tx: WriteTx, facts: ExecutionFacts, steps: readonly StepFacts[], now: number): Promise<void> {
  for (const step of steps) {
    await endUnstartedStep(tx, step.id, "skipped", "default_gate_rejected", now);
    const skipped = { name: step.name, attempt: step.currentAttempt, status: "skipped", exit_code: null } as const;
    record(tx, { ...facts, stepId: step.id }, "step.finished", skipped, now);
  }
}

async function finishByResult(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  status: "succeeded" | "failed",
  now: number,
): Promise<void> {
  await deps.dispatch.finishLease(tx, facts.id, now);
  await endExecution(
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
  const steps = await loadSteps(tx, executionId);
  const step = steps.find((candidate) => candidate.id === stepId);
  if (!step) throw new ApiError("step-not-found", "the step does not belong to this job");
  switch (decideReport(step, body.attempt ?? step.currentAttempt)) {
    case "ahead":
      throw new ApiError(
        "step-attempt-ahead",
        `attempt ${body.attempt} has not been started; the current one is ${step.currentAttempt}`,
      );
    case "not-running":
      throw new ApiError("step-not-running", "the step has not been started; ask for the next step first");
    case "finish":
      await applyReport(tx, deps, facts, step, body, now);
      break;
    case "already-known":
      break;
  }
  const current = steps.map((candidate) =>
    candidate.id === stepId && candidate.status === "running" ? { ...candidate, status: body.status } : candidate,
  );
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

async function applyReport(
  tx: WriteTx,
  deps: RunsDeps,
  facts: ExecutionFacts,
  step: StepFacts,
  body: z.output<typeof reportBodySchema>,
  now: number,
): Promise<void> {
  const output = body.checkout ? { ...body.output, checkout: body.checkout } : (body.output ?? null);
  const exitCode = body.exit_code ?? body.error?.exit_code ?? null;
  await finishStep(
    tx,
    step,
    {
      status: body.status,
      exitCode,
      error: body.error ? JSON.stringify({ ...body.error, category: step.type === "run" ? "user" : "setup" }) : null,
      output: output === null ? null : JSON.stringify(output),
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
  record(
    tx,
    { ...facts, stepId: step.id },
    "step.finished",
    { name: step.name, attempt: step.currentAttempt, status: body.status, exit_code: exitCode },
    now,
  );
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
  const next = decideNextStep(await loadSteps(tx, executionId));
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
