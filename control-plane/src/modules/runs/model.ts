import type { JobStatus, JobStatusReason, RunStatus, StepStatus } from "@shipfox/shared/api/runs";
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

export interface JobState {
  readonly key: string;
  readonly status: JobStatus;
  readonly needs: readonly string[];
  /** It has a condition of its own, which is asked once its needs have ended, in whatever way. */
  readonly hasCondition?: boolean;
  /** Of one of the jobs that a job with a matrix becomes; others need them all, by the key `job`. */
  readonly matrix?: Pick<MatrixModel, "job" | "maxParallel" | "failFast">;
}

export interface RunVerdict {
  /** Jobs of a matrix that end, running or not, because another of its jobs failed. */
  readonly cancel: readonly string[];
  /** Jobs that may start: their needs have succeeded, or their condition was accepted. */
  readonly start: readonly string[];
  /** Jobs that cannot run because a need did not succeed. */
  readonly skip: readonly string[];
  /** Jobs whose condition decides now. */
  readonly ask: readonly string[];
  /** Set when, after the skips, nothing is left to do. */
  readonly finish: "succeeded" | "failed" | null;
}

/**
 * What the run does next. `started` holds the keys of jobs that were queued before: they are not started twice.
 * `accepted` holds the keys of those whose condition has been found true; one that was found false is a skipped job.
 * A run is failed when a job failed; skipped and cancelled jobs alone do not fail it. Linear in the jobs and their needs
 * for each length of a chain of skipped jobs.
 */
export function decideRun(
  jobs: readonly JobState[],
  started: ReadonlySet<string>,
  accepted: ReadonlySet<string> = NONE,
): RunVerdict {
  const states = new RunStates(jobs);
  const cancel = jobs.filter((job) => job.matrix?.failFast && !states.hasEnded(job) && states.hasFailed(job));
  for (const job of cancel) states.end(job, "cancelled");
  const undecided = jobs.filter((job) => states.isPending(job) && !started.has(job.key));
  const skip: string[] = [];
  for (let changed = true; changed; ) {
    changed = false;
    for (const job of undecided) {
      if (job.hasCondition || !states.isPending(job) || states.needsOf(job) !== "spoilt") continue;
      states.end(job, "skipped");
      skip.push(job.key);
      changed = true;
    }
  }
  const open = undecided.filter((job) => states.isPending(job) && states.needsOf(job) !== "open");
  const free = withinMatrices(open, (job) => started.has(job.key) && !states.hasEnded(job), jobs);
  return {
    cancel: cancel.map(({ key }) => key),
    start: free.filter((job) => !job.hasCondition || accepted.has(job.key)).map(({ key }) => key),
    skip,
    ask: free.filter((job) => job.hasCondition && !accepted.has(job.key)).map(({ key }) => key),
    finish: states.finish,
  };
}

/** The statuses of the jobs while a decision changes them, and what that means for those that wait. */
class RunStates {
  readonly #statuses: Map<string, JobStatus>;
  /** By the keys that needs name. */
  readonly #needed = new Map<string, { open: number; failed: number; unsuccessful: number }>();

  constructor(jobs: readonly JobState[]) {
    this.#statuses = new Map(jobs.map((job) => [job.key, job.status]));
    for (const job of jobs) {
      const needed = this.#needed.get(neededAs(job)) ?? { open: 0, failed: 0, unsuccessful: 0 };
      this.#needed.set(neededAs(job), needed);
      if (!isTerminal(job.status)) needed.open += 1;
      else if (job.status !== "succeeded") needed.unsuccessful += 1;
      if (job.status === "failed") needed.failed += 1;
    }
  }

  end(job: JobState, status: "cancelled" | "skipped"): void {
    this.#statuses.set(job.key, status);
    const needed = this.#needed.get(neededAs(job));
    if (!needed) return;
    needed.open -= 1;
    needed.unsuccessful += 1;
  }

  isPending(job: JobState): boolean {
    return this.#statuses.get(job.key) === "pending";
  }

  hasEnded(job: JobState): boolean {
    return isTerminal(this.#statuses.get(job.key) ?? "pending");
  }

  /** Whether some job of the same matrix failed. */
  hasFailed(job: JobState): boolean {
    return (this.#needed.get(neededAs(job))?.failed ?? 0) > 0;
  }

  /** `spoilt`: all have ended, and some did not succeed. */
  needsOf(job: JobState): "open" | "succeeded" | "spoilt" {
    const needs = job.needs.map((key) => this.#needed.get(key));
    if (needs.some((need) => need === undefined || need.open > 0)) return "open";
    return needs.some((need) => need !== undefined && need.unsuccessful > 0) ? "spoilt" : "succeeded";
  }

  get finish(): RunVerdict["finish"] {
    const all = [...this.#needed.values()];
    if (all.some(({ open }) => open > 0)) return null;
    return all.some(({ failed }) => failed > 0) ? "failed" : "succeeded";
  }
}

/** The key by which other jobs need it. */
function neededAs({ key, matrix }: Pick<JobState, "key"> & { readonly matrix?: { readonly job: string } }): string {
  return matrix?.job ?? key;
}

/** Those of the open jobs that may go now, in their order: no matrix has more going than it may. */
function withinMatrices(
  open: readonly JobState[],
  isGoing: (job: JobState) => boolean,
  jobs: readonly JobState[],
): JobState[] {
  const going = new Map<string, number>();
  const count = (key: string) => going.set(key, (going.get(key) ?? 0) + 1);
  for (const job of jobs) if (job.matrix && isGoing(job)) count(job.matrix.job);
  return open.filter(({ matrix }) => {
    if (!matrix || matrix.maxParallel === null) return true;
    if ((going.get(matrix.job) ?? 0) >= matrix.maxParallel) return false;
    count(matrix.job);
    return true;
  });
}

const NONE: ReadonlySet<string> = new Set();

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
