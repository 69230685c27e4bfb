import type { ReleaseReason } from "@shipfox/shared/failure";
import type { CallObserver } from "../control-plane/client.ts";

/** What one running job is doing, for people. Times are wall clock, milliseconds. */
export interface JobProgress {
  readonly runId: string;
  readonly jobId: string;
  readonly executionId: string;
  readonly project: string | null;
  readonly workflow: string | null;
  readonly runNumber: number | null;
  readonly job: string | null;
  readonly startedAt: number;
  readonly step: { readonly name: string; readonly startedAt: number } | null;
}

export type JobOutcome = "finished" | "cancelled" | "lost" | "handed_back" | "killed";
export type InfrastructureFault = ReleaseReason | "lost";

/** The wait of the claim loop that is in progress, and how long it may last by the loop's own word; null is for ever. */
interface LoopWait {
  readonly what: string;
  readonly since: number;
  readonly limitMs: number | null;
}

/** Longer than any wait of the loop needs for its own work. */
const LOOP_MARGIN_MS = 60_000;
/** Failed calls for this long are an outage that a health check should see. */
const CONTACT_LIMIT_MS = 120_000;

/**
 * What the runner knows of itself: written by the daemon and the client as things happen, read by `status`, the metrics,
 * the health checks and systemd. Holds no timer and does no I/O. Durations use the monotonic clock.
 */
export class Monitor implements CallObserver {
  readonly startedAt = Date.now();
  readonly faults = new Map<string, string>();
  readonly jobsByOutcome = new Map<JobOutcome, number>();
  readonly faultsByCause = new Map<InfrastructureFault, number>();
  readonly running = new Set<{ readonly progress: JobProgress }>();
  readonly claimWait = { count: 0, seconds: 0 };
  logBytesSent = 0;
  cleanUpFailures = 0;
  session: { readonly id: string; readonly runnerId: string; readonly openedAt: number } | null = null;
  drainingSince: number | null = null;
  isAskingForJobs = false;
  labels: readonly string[];
  concurrency: number;
  private lastAnswerAt: number | null = null;
  private firstFailureAt: number | null = null;
  private lastFailure = "";
  private readonly heartbeats = new Map<string, number>();
  private loop: LoopWait = { what: "starting", since: performance.now(), limitMs: null };

  constructor(initial: { labels: readonly string[]; concurrency: number }) {
    this.labels = initial.labels;
    this.concurrency = initial.concurrency;
  }

  /** The control plane answered a call, with success or with a refusal of its own. */
  answered(): void {
    this.lastAnswerAt = performance.now();
    this.firstFailureAt = null;
  }

  /** A call was not answered. */
  notAnswered(why: string): void {
    this.firstFailureAt ??= performance.now();
    this.lastFailure = why;
  }

  heartbeatAnswered(jobId: string): void {
    this.heartbeats.set(jobId, performance.now());
  }

  logAcknowledged(bytes: number): void {
    this.logBytesSent += bytes;
  }

  /** `cause` stands for one kind of fault; null clears it. While any is set the runner is unhealthy. */
  setFault(cause: string, reason: string | null): void {
    if (reason === null) this.faults.delete(cause);
    else this.faults.set(cause, reason);
  }

  jobStarted(job: { readonly progress: JobProgress }): void {
    this.running.add(job);
    this.heartbeats.set(job.progress.jobId, performance.now());
  }

  jobEnded(job: { readonly progress: JobProgress }, outcome: JobOutcome, cause: InfrastructureFault | null): void {
    this.running.delete(job);
    this.heartbeats.delete(job.progress.jobId);
    this.jobsByOutcome.set(outcome, (this.jobsByOutcome.get(outcome) ?? 0) + 1);
    if (cause !== null) this.faultsByCause.set(cause, (this.faultsByCause.get(cause) ?? 0) + 1);
  }

  claimAnswered(waitedMs: number): void {
    this.claimWait.count += 1;
    this.claimWait.seconds += waitedMs / 1000;
  }

  /** The claim loop begins a wait that it expects to end within `limitMs`; null when only an event can end it. */
  waiting(what: string, limitMs: number | null): void {
    this.loop = { what, since: performance.now(), limitMs };
  }

  /** Milliseconds since the control plane last answered; null when it never did. */
  get contactAgeMs(): number | null {
    return this.lastAnswerAt === null ? null : performance.now() - this.lastAnswerAt;
  }

  /** Milliseconds since the first of the calls that were not answered since the last answer; null when there is none. */
  get outageMs(): number | null {
    return this.firstFailureAt === null ? null : performance.now() - this.firstFailureAt;
  }

  /** Age of the oldest of the running jobs' last answered heartbeats, milliseconds; null without jobs. */
  get heartbeatAgeMs(): number | null {
    const oldest = Math.min(...this.heartbeats.values());
    return this.heartbeats.size === 0 ? null : performance.now() - oldest;
  }

  /** Why no jobs should be expected of this runner, or null. */
  get unhealthyReason(): string | null {
    const [fault] = this.faults.values();
    if (fault !== undefined) return fault;
    const outageMs = this.outageMs;
    if (outageMs !== null && outageMs > CONTACT_LIMIT_MS)
      return `no contact with the control plane for ${Math.round(outageMs / 1000)} s: ${this.lastFailure}`;
    return this.stuckReason;
  }

  /** What the claim loop hangs in, or null while it moves. */
  get stuckReason(): string | null {
    const { what, since, limitMs } = this.loop;
    const lastedMs = performance.now() - since;
    if (limitMs === null || lastedMs <= limitMs + LOOP_MARGIN_MS) return null;
    return `the claim loop hangs: "${what}" has lasted ${Math.round(lastedMs / 1000)} s`;
  }
}
