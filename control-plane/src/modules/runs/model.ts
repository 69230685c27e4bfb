import type { JobStatus, JobStatusReason, RunStatus, StepStatus } from "@shipfox/shared/api/runs";
import { ApiError } from "@shipfox/shared/errors";
import { costsRetry, type InfrastructureCause } from "@shipfox/shared/failure";
import { TERMINAL_STATUSES } from "@shipfox/shared/api/runs";

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
  readonly position: number;
  readonly status: StepStatus;
  readonly currentAttempt: number;
}

/** What a runner that asks for the next step gets; `skipped` steps end in the same transaction. */
export type NextStep<S extends StepState> =
  | { readonly kind: "start"; readonly step: S }
  | { readonly kind: "repeat"; readonly step: S }
  | { readonly kind: "done"; readonly status: "succeeded" | "failed"; readonly skipped: readonly S[] };

/**
 * Steps run one after another, in order of position. A running step is handed out again, so that a lost reply does no
 * harm. After a failed step the remaining ones are skipped.
 */
export function decideNextStep<S extends StepState>(steps: readonly S[]): NextStep<S> {
  const running = steps.find((step) => step.status === "running");
  if (running) return { kind: "repeat", step: running };
  const pending = steps
    .filter((step) => step.status === "pending")
    .sort((left, right) => left.position - right.position);
  const failed = steps.some((step) => step.status === "failed");
  const first = pending[0];
  if (first && !failed) return { kind: "start", step: first };
  return { kind: "done", status: failed ? "failed" : "succeeded", skipped: pending };
}

/** Whether the execution is over when its running step ends with a status. */
export function decideLast(steps: readonly StepState[], running: StepState): { succeeded: boolean; failed: boolean } {
  const isOverAfter = (status: "succeeded" | "failed") =>
    decideNextStep(steps.map((step) => (step.id === running.id ? { ...step, status } : step))).kind === "done";
  return { succeeded: isOverAfter("succeeded"), failed: isOverAfter("failed") };
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
  | { readonly kind: "retry"; readonly delayMs: number; readonly infrastructureRetries: number };

/** `execution` is the sequence of the execution that ended, `infrastructureRetries` what the job has used up before. */
export function decideJob(
  { infrastructureRetries, execution }: { infrastructureRetries: number; execution: number },
  end: ExecutionEnd,
): JobVerdict {
  switch (end.kind) {
    case "succeeded":
      return { kind: "finish", status: "succeeded", reason: null };
    case "failed":
      return { kind: "finish", status: "failed", reason: end.reason };
    case "infrastructure": {
      if (!costsRetry(end.cause) && execution < MAX_FREE_EXECUTIONS)
        return { kind: "retry", delayMs: 0, infrastructureRetries };
      if (infrastructureRetries >= MAX_INFRASTRUCTURE_RETRIES)
        return { kind: "finish", status: "failed", reason: "runner_lost" };
      const delayMs = RETRY_DELAYS_MS[Math.min(infrastructureRetries, RETRY_DELAYS_MS.length - 1)] as number;
      return { kind: "retry", delayMs, infrastructureRetries: infrastructureRetries + 1 };
    }
  }
}

// --- job in run ----------------------------------------------------------------------------------------------------

export interface JobState {
  readonly key: string;
  readonly status: JobStatus;
  readonly needs: readonly string[];
}

export interface RunVerdict {
  /** Jobs whose needs have all succeeded and that have not been started. */
  readonly start: readonly string[];
  /** Jobs that cannot run because a need did not succeed. */
  readonly skip: readonly string[];
  /** Set when, after the skips, nothing is left to do. */
  readonly finish: "succeeded" | "failed" | null;
}

/**
 * What the run does next. `started` holds the keys of pending jobs that were queued before: they are not started twice.
 * A run is failed when a job failed; skipped and cancelled jobs alone do not fail it.
 */
export function decideRun(jobs: readonly JobState[], started: ReadonlySet<string>): RunVerdict {
  const status = new Map(jobs.map((job) => [job.key, job.status]));
  const skip: string[] = [];
  const undecided = jobs.filter((job) => job.status === "pending" && !started.has(job.key));
  for (let changed = true; changed; ) {
    changed = false;
    for (const job of undecided) {
      if (status.get(job.key) !== "pending") continue;
      const needs = job.needs.map((key) => status.get(key));
      if (needs.every((need) => need !== undefined && isTerminal(need)) && needs.some((need) => need !== "succeeded")) {
        status.set(job.key, "skipped");
        skip.push(job.key);
        changed = true;
      }
    }
  }
  const start = undecided
    .filter((job) => status.get(job.key) === "pending" && job.needs.every((key) => status.get(key) === "succeeded"))
    .map((job) => job.key);
  const statuses = [...status.values()];
  const over = statuses.every(isTerminal);
  return { start, skip, finish: over ? (statuses.includes("failed") ? "failed" : "succeeded") : null };
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
