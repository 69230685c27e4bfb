import type { JobStatusReason, RunStatus, StepStatus } from "@shipfox/shared/api/runs";
import { ApiError } from "@shipfox/shared/errors";
import { costsRetry, type InfrastructureCause } from "@shipfox/shared/failure";
import { TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import type { MatrixModel, RetryModel } from "../workflow/public.ts";

/** Most infrastructure faults (lost runner, unusable machine) that a job survives before it fails with `runner_lost`. */
export const MAX_INFRASTRUCTURE_RETRIES = 5;
/** Wait before the first, second and every later retry after an infrastructure fault. */
const RETRY_DELAYS_MS = [0, 5_000, 30_000] as const;
/** Hand-backs are free for so many executions; a job that takes its runner down each time must not go on for ever. */
const MAX_FREE_EXECUTIONS = 20;

export function isTerminal(status: string): boolean {
  return TERMINAL_STATUSES.has(status);
}

// --- step in execution ---------------------------------------------------------------------------------------------

export interface StepState {
  readonly id: string;
  /** 0 is the set-up step, without which no other can run. */
  readonly position: number;
  readonly status: StepStatus;
  readonly currentAttempt: number;
  /** It has a condition of its own, and may run after a failure. */
  readonly hasCondition?: boolean;
  /** What may become of its report: `judges` can change the result, `restarts` send the job back to an earlier step. */
  readonly gate?: "judges" | "restarts";
}

/**
 * What a runner that asks for the next step gets. `ask`: the step's condition decides whether it is started or skipped.
 * `skipped` steps end in the same transaction, before that.
 */
export type NextStep<S extends StepState> =
  | { readonly kind: "start"; readonly step: S }
  | { readonly kind: "ask"; readonly step: S; readonly skipped: readonly S[] }
  | { readonly kind: "repeat"; readonly step: S }
  | { readonly kind: "done"; readonly status: "succeeded" | "failed"; readonly skipped: readonly S[] };

/**
 * Steps run one after another, in order of position. A running step is handed out again, so that a lost reply does no
 * harm. After a failed step only those with a condition of their own may run; without a workspace none.
 */
export function decideNextStep<S extends StepState>(steps: readonly S[]): NextStep<S> {
  const running = steps.find((step) => step.status === "running");
  if (running) return { kind: "repeat", step: running };
  const pending = steps
    .filter((step) => step.status === "pending")
    .sort((left, right) => left.position - right.position);
  const failed = steps.filter((step) => step.status === "failed");
  const hasWorkspace = failed.every((step) => step.position > 0);
  const skipped: S[] = [];
  for (const step of pending) {
    if (step.hasCondition && hasWorkspace) return { kind: "ask", step, skipped };
    if (failed.length === 0) return { kind: "start", step };
    skipped.push(step);
  }
  return { kind: "done", status: failed.length > 0 ? "failed" : "succeeded", skipped };
}

/** Whether the execution is over when its running step ends with a status, whatever conditions and gates say. */
export function decideLast(steps: readonly StepState[], running: StepState): { succeeded: boolean; failed: boolean } {
  const isOverAfter = (status: "succeeded" | "failed") =>
    decideNextStep(steps.map((step) => (step.id === running.id ? { ...step, status } : step))).kind === "done";
  const over = { succeeded: isOverAfter("succeeded"), failed: isOverAfter("failed") };
  if (running.gate === undefined) return over;
  const surely = running.gate === "judges" && over.succeeded && over.failed;
  return { succeeded: surely, failed: surely };
}

/** Times a gate lets its step run: the first and two restarts. Source: the published language. */
export const MAX_GATE_ATTEMPTS = 3;

/** What the gate of a step makes of a report. */
export interface GateVerdict {
  readonly status: "succeeded" | "failed";
  readonly kind: "none" | "not_evaluated" | "passed" | "failed" | "uncheckable" | "evaluation_error";
  /** Why the step failed, when that is not what the runner said. */
  readonly reason: "gate_failed" | "gate_error" | "restart_exhausted" | null;
  /** The job goes back to an earlier step. */
  readonly restarts: boolean;
}

/**
 * `judged` is what the success condition says of the report, null without one. `restarts` is how often this gate has sent
 * the job back before; null when it never does. A report without an exit code says too little for a condition.
 */
export function decideGate(
  report: { readonly status: "succeeded" | "failed"; readonly exitCode: number | null },
  gate: { readonly judged: "accepted" | "rejected" | "errored" | null; readonly restarts: number | null } | null,
): GateVerdict {
  if (gate === null) return { status: report.status, kind: "none", reason: null, restarts: false };
  const fail = (reason: GateVerdict["reason"], kind: GateVerdict["kind"] = "failed"): GateVerdict => {
    if (kind !== "failed" || gate.restarts === null) return { status: "failed", kind, reason, restarts: false };
    const restarts = gate.restarts + 1 < MAX_GATE_ATTEMPTS;
    return { status: "failed", kind, reason: restarts ? reason : "restart_exhausted", restarts };
  };
  if (gate.judged === null)
    return report.status === "failed"
      ? fail(null)
      : { status: "succeeded", kind: "passed", reason: null, restarts: false };
  if (report.exitCode === null) return fail(report.status === "failed" ? null : "gate_error", "uncheckable");
  if (gate.judged === "errored") return fail("gate_error", "evaluation_error");
  if (gate.judged === "rejected") return fail("gate_failed");
  return { status: "succeeded", kind: "passed", reason: null, restarts: false };
}

/** What a report does to its step. */
export type ReportVerdict = "finish" | "already-known" | "not-running" | "ahead";

export function decideReport(step: StepState, reportedAttempt: number): ReportVerdict {
  if (reportedAttempt > step.currentAttempt) return "ahead";
  if (reportedAttempt < step.currentAttempt || isTerminal(step.status)) return "already-known";
  return step.status === "running" ? "finish" : "not-running";
}

// --- execution in job ----------------------------------------------------------------------------------------------

/**
 * How an execution ended. `infrastructure` causes are not the user's: the job is queued again within its bound, which only
 * those causes use up that speak against the machine.
 */
export type ExecutionEnd =
  | { readonly kind: "succeeded" }
  | { readonly kind: "failed"; readonly reason: JobStatusReason }
  | { readonly kind: "infrastructure"; readonly cause: InfrastructureCause; readonly message: string };

export type JobVerdict =
  | { readonly kind: "finish"; readonly status: "succeeded" | "failed"; readonly reason: JobStatusReason | null }
  | {
      readonly kind: "retry";
      readonly delayMs: number;
      readonly infrastructureRetries: number;
      readonly retries: number;
    };

export interface JobTries {
  /** The sequence of the execution that ended. */
  readonly execution: number;
  /** What the job has used up before: of its bound for faults of the machine, and of its own `retry`. */
  readonly infrastructureRetries: number;
  readonly retries: number;
}

/** `retry` is what the workflow says of failures that are its own. */
export function decideJob(
  { infrastructureRetries, retries, execution }: JobTries,
  end: ExecutionEnd,
  retry?: RetryModel,
): JobVerdict {
  switch (end.kind) {
    case "succeeded":
      return { kind: "finish", status: "succeeded", reason: null };
    case "failed": {
      const cause = end.reason === "timed_out" ? "timeout" : "failure";
      if (!retry || retries >= retry.max || !retry.on.includes(cause))
        return { kind: "finish", status: "failed", reason: end.reason };
      const { delayMs, factor, maxMs } = retry.backoff;
      const wait = Math.min(delayMs * factor ** retries, maxMs);
      return { kind: "retry", delayMs: wait, infrastructureRetries, retries: retries + 1 };
    }
    case "infrastructure": {
      if (!costsRetry(end.cause) && execution < MAX_FREE_EXECUTIONS)
        return { kind: "retry", delayMs: 0, infrastructureRetries, retries };
      if (infrastructureRetries >= MAX_INFRASTRUCTURE_RETRIES)
        return { kind: "finish", status: "failed", reason: "runner_lost" };
      const delayMs = RETRY_DELAYS_MS[Math.min(infrastructureRetries, RETRY_DELAYS_MS.length - 1)] as number;
      return { kind: "retry", delayMs, infrastructureRetries: infrastructureRetries + 1, retries };
    }
  }
}

// --- job in run ----------------------------------------------------------------------------------------------------

/**
 * Where a job is on its way. `blocked`: a need has not ended. `ready`: it is decided about next. `held`: its matrix has no
 * place for it. `going`: it has been started, and may wait for a runner or for its next try. `over`: it has ended.
 */
export type JobStage = "blocked" | "ready" | "held" | "going" | "over";

export interface ReadyJob {
  /** Some need ended without success. */
  readonly spoilt: boolean;
  /** It has a condition of its own, which is asked once its needs have ended, in whatever way. */
  readonly hasCondition: boolean;
  /** Of one of the jobs that a job with a matrix becomes. */
  readonly matrix?: Pick<MatrixModel, "job" | "maxParallel">;
}

export type ReadyVerdict = "start" | "ask" | "skip" | "hold";

/**
 * What becomes of the jobs that are ready, in their order. `going` says how many jobs of a matrix are, by its key: no matrix
 * has more going than it may. One whose condition is asked takes its place meanwhile.
 */
export function decideReady(jobs: readonly ReadyJob[], going: ReadonlyMap<string, number>): ReadyVerdict[] {
  const places = new Map(going);
  return jobs.map(({ spoilt, hasCondition, matrix }) => {
    if (spoilt && !hasCondition) return "skip";
    if (matrix && matrix.maxParallel !== null) {
      const taken = places.get(matrix.job) ?? 0;
      if (taken >= matrix.maxParallel) return "hold";
      places.set(matrix.job, taken + 1);
    }
    return hasCondition ? "ask" : "start";
  });
}

/**
 * A run is over when no job is open. It failed when a job failed, and was cancelled when a job was, which another one of its
 * concurrency group replaced; skipped jobs alone change nothing.
 */
export function decideFinish({
  open,
  failed,
  cancelled = false,
}: {
  open: boolean;
  failed: boolean;
  cancelled?: boolean;
}): "succeeded" | "failed" | "cancelled" | null {
  if (open) return null;
  if (failed) return "failed";
  return cancelled ? "cancelled" : "succeeded";
}

// --- job in its concurrency group ------------------------------------------------------------------------------------

/**
 * What becomes of the place of a member of a concurrency group. `over`: its job has ended; `leased`: a runner still
 * has a lease of it, and may be working. The place is free when nobody can be working in it any more.
 */
export function decideMember({
  holds,
  over,
  leased,
}: {
  holds: boolean;
  over: boolean;
  leased: boolean;
}): "stay" | "leave" {
  return over && !(holds && leased) ? "leave" : "stay";
}

/** What an archived project refuses: new runs, and syncs of its repository. */
export function projectArchived(name: string): ApiError {
  return new ApiError("project-archived", `the project ${name} is archived; unarchive it first`);
}

// --- run in workspace ----------------------------------------------------------------------------------------------

/** How many of the runs that wait get a place now, those that were created first. `limit` 0: each run has a place. */
export function decidePlaces({ limit, going, waiting }: { limit: number; going: number; waiting: number }): number {
  if (limit === 0) return waiting;
  return Math.min(waiting, Math.max(0, limit - going));
}

/** A run is over when its status is. */
export function isOver(status: RunStatus): boolean {
  return isTerminal(status);
}
