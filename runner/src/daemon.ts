import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@shipfox/shared/logger";
import { type ClaimReply, MAX_CLAIM_WAIT_SECONDS } from "@shipfox/shared/machine";
import PQueue from "p-queue";
import { Backoff } from "@shipfox/shared/backoff";
import { isTransient, RefusedError, retryAfterOf } from "@shipfox/shared/call-error";
import { CALL_MARGIN_MS, type ControlPlaneClient, type NoWork } from "./control-plane/client.ts";
import { HealthReport } from "./health-report.ts";
import { type JobEnd, JobRunner, type JobSettings } from "./job/job-runner.ts";
import type { Monitor } from "./operate/monitor.ts";
import { EXIT_FAILED, FatalError, type Session, versionUnsupported } from "./registration.ts";

/** A plane that answers "no work" sooner than this does not wait for us; we pace ourselves then. */
const SHORT_POLL_MS = 1_000;
const LAST_CLAIM_LIMIT_MS = 5_000;
const END_SESSION_LIMIT_MS = 3_000;
/** After so many jobs in a row that this machine could not run, it checks itself before it takes another. */
const MAX_FAULTS_IN_A_ROW = 3;
const CLAIM_LIMIT_MS = MAX_CLAIM_WAIT_SECONDS * 1000 + CALL_MARGIN_MS;

export interface DaemonOptions {
  client: ControlPlaneClient;
  logger: Logger;
  drainTimeoutMs: number;
  /** It is drained when it has had no job for so long; null for never. */
  idleLimitMs: number | null;
  monitor: Monitor;
  /** Opens a session; again after the plane ended one. Rejects with FatalError when trying again would not help. */
  register: (signal: AbortSignal) => Promise<Session>;
  /** Once, when it asks for its first job. */
  onReady: () => void;
  /** A session was opened. */
  onSession: (session: Session) => void;
  /** Before the first job of a session is begun. */
  onClaim: () => void;
  job: Omit<JobSettings, "labels" | "onDrain" | "onCleanUpFailed" | "background" | "secrets" | "client" | "logger">;
}

/** Claims jobs and runs up to `monitor.concurrency` of them at once, until it is drained. */
export class Daemon {
  private readonly options: DaemonOptions;
  private readonly logger: Logger;
  /** Has no bound of its own: a job that was claimed must start, even when the concurrency was lowered meanwhile. */
  private readonly queue = new PQueue();
  private readonly running = new Set<JobRunner>();
  private readonly cleanups = new Set<Promise<unknown>>();
  private readonly draining = new AbortController();
  private readonly hurry = new AbortController();
  private readonly wake = new EventTarget();
  private readonly claimBackoff = new Backoff();
  /** Aborted and replaced when a parked claim would bring a job too many. */
  private reshaping = new AbortController();
  private session: Session | null = null;
  /** Of this session. */
  private claims = 0;
  private idleTimer: NodeJS.Timeout | null = null;
  private leaving: string | null = null;
  private faultsInARow = 0;
  private lastFault = "";
  private readonly faultPause = new Backoff();
  private isReadyTold = false;
  private hasFailed = false;

  constructor(options: DaemonOptions) {
    this.options = options;
    this.logger = options.logger;
  }

  /** Resolves with the exit status after the last job ended. Rejects with FatalError before that when it cannot register. */
  async run(): Promise<number> {
    try {
      while (!this.draining.signal.aborted) await this.workOnce();
    } finally {
      this.endIdleTime();
      await this.finishJobs();
    }
    await this.endSession();
    return this.hurry.signal.aborted || this.hasFailed ? EXIT_FAILED : 0;
  }

  /** Claims nothing more; running jobs may go on until the drain timeout, then they are handed back. Safe to repeat. */
  drain(why: string): void {
    if (this.draining.signal.aborted) return;
    this.logger.info({ why, running: this.running.size }, "draining: no more jobs are claimed");
    this.options.monitor.drainingSince = Date.now();
    this.draining.abort();
  }

  /** The machine is about to be taken away: claims nothing more and hands the running jobs back now. Safe to repeat. */
  leave(why: string): void {
    this.drain(why);
    this.leaving = why;
    for (const job of this.running) job.handBack("machine_going", why);
  }

  get isDraining(): boolean {
    return this.draining.signal.aborted;
  }

  /** From now on this many jobs at once; those that run go on, whatever their number. */
  resize(concurrency: number): void {
    this.options.monitor.concurrency = concurrency;
    if (this.running.size >= concurrency) this.reshaping.abort();
    this.wake.dispatchEvent(new Event("resized"));
  }

  /** This process cannot go on: gives all jobs back and ends as failed, so that the service manager starts a new one. */
  fail(why: string): void {
    this.logger.error({ why, running: this.running.size }, "the runner gives its jobs back and stops");
    this.hasFailed = true;
    this.drain(why);
    for (const job of this.running) job.handBack("sandbox_unavailable", why);
  }

  /** Kills the running jobs now and releases them as far as the plane answers quickly. */
  kill(): void {
    this.drain("told to stop now");
    this.hurry.abort();
    for (const job of this.running) job.kill();
  }

  private async workOnce(): Promise<void> {
    const signal = this.draining.signal;
    const { monitor } = this.options;
    try {
      if (this.session === null) {
        monitor.waiting("registration", null);
        this.session = await this.options.register(signal);
        monitor.session = { id: this.session.sessionId, runnerId: this.session.runnerId, openedAt: Date.now() };
        this.claims = 0;
        this.options.onSession(this.session);
        if (this.running.size === 0) this.beginIdleTime();
      }
      if (this.claims >= (this.session.maxClaims ?? Number.POSITIVE_INFINITY)) return await this.endWithItsJobs();
      await this.awaitFreeSlot();
      await this.awaitHealthy(this.session);
      await this.awaitRoom();
      if (signal.aborted) return;
      const claim = await this.claim(this.session);
      if (claim !== null) this.startJob(claim, this.session);
    } catch (error) {
      if (error instanceof FatalError) throw error;
      if (signal.aborted) return;
      await this.recover(error);
    }
  }

  /** No more jobs are to be had in this session: it ends when those that run are over, however long they take. */
  private async endWithItsJobs(): Promise<void> {
    this.options.monitor.isAskingForJobs = false;
    this.options.monitor.waiting("the running jobs", null);
    const drained = new Promise<void>((resolve) =>
      this.draining.signal.addEventListener("abort", () => resolve(), { once: true }),
    );
    await Promise.race([this.queue.onIdle(), drained]);
    this.drain("it has had all its jobs");
  }

  private beginIdleTime(): void {
    const { idleLimitMs } = this.options;
    if (idleLimitMs === null) return;
    this.endIdleTime();
    const why = `no job for ${idleLimitMs / 1000} s`;
    this.idleTimer = setTimeout(() => this.drain(why), idleLimitMs);
  }

  private endIdleTime(): void {
    if (this.idleTimer !== null) clearTimeout(this.idleTimer);
    this.idleTimer = null;
  }

  private async recover(error: unknown): Promise<void> {
    if (error instanceof RefusedError && error.status === 401) {
      if (this.session?.maxClaims === 1)
        return this.drain("the session has ended, and with it the only job it was for");
      // A new session would end the old one, and with it the leases of the jobs that still run.
      this.logger.info("the session has ended; registering again when the running jobs are done");
      this.options.monitor.isAskingForJobs = false;
      this.options.monitor.waiting("the running jobs", null);
      await this.queue.onIdle();
      this.session = null;
      this.options.monitor.session = null;
      return;
    }
    if (error instanceof RefusedError && error.code === "runner-session-exhausted") {
      const reason = Object(error.details)["reason"];
      this.drain(typeof reason === "string" ? `the control plane ended the session: ${reason}` : error.message);
      return;
    }
    if (error instanceof RefusedError && error.code === "runner-version-unsupported") throw versionUnsupported(error);
    const delayMs = this.claimBackoff.next(retryAfterOf(error));
    this.logger.warn(
      { error: (error as Error).message, next_try_ms: Math.round(delayMs) },
      "no jobs can be claimed; trying again",
    );
    await this.pause(delayMs);
  }

  /** One job, or null after a wait without one or when draining began. */
  private async claim(session: Session): Promise<ClaimReply | null> {
    const idempotencyKey = randomUUID();
    const startedAt = performance.now();
    this.options.monitor.isAskingForJobs = true;
    this.tellReady();
    const reply = await this.claimWithKey(session, idempotencyKey);
    if (isJob(reply)) {
      this.options.monitor.claimAnswered(performance.now() - startedAt);
      this.claimBackoff.reset();
      return reply;
    }
    if (reply === null || this.isDraining) return null;
    const wasShort = performance.now() - startedAt < SHORT_POLL_MS;
    if (!wasShort) this.claimBackoff.reset();
    await this.pause(wasShort ? this.claimBackoff.next(reply.retryAfterMs) : reply.retryAfterMs);
    return null;
  }

  /** Repeats the claim with one key until it is answered: a job whose answer was lost is given again. */
  private async claimWithKey(session: Session, idempotencyKey: string): Promise<ClaimReply | NoWork | null> {
    const { client, monitor } = this.options;
    if (this.reshaping.signal.aborted) this.reshaping = new AbortController();
    const signal = AbortSignal.any([this.draining.signal, this.reshaping.signal]);
    for (;;) {
      try {
        monitor.waiting("a claim", CLAIM_LIMIT_MS);
        return await client.claim({
          sessionToken: session.sessionToken,
          idempotencyKey,
          waitSeconds: MAX_CLAIM_WAIT_SECONDS,
          signal,
        });
      } catch (error) {
        if (signal.aborted) return await this.claimForTheLastTime(session, idempotencyKey);
        if (error instanceof RefusedError && error.code === "claim-key-used") return null;
        if (!isTransient(error)) throw error;
        const delayMs = this.claimBackoff.next(retryAfterOf(error));
        this.logger.warn(
          { error: (error as Error).message, next_try_ms: Math.round(delayMs) },
          "the claim was not answered; repeating it",
        );
        await this.pause(delayMs);
      }
    }
  }

  /** The claim was given up while the plane may just have answered it with a job: the job must not be forgotten. */
  private async claimForTheLastTime(session: Session, idempotencyKey: string): Promise<null> {
    const { client, logger } = this.options;
    try {
      const signal = AbortSignal.timeout(LAST_CLAIM_LIMIT_MS);
      const reply = await client.claim({ sessionToken: session.sessionToken, idempotencyKey, waitSeconds: 0, signal });
      if (!isJob(reply)) return null;
      await client.release(reply.job_id, reply.lease_token, { reason: "draining" }, signal);
      const ids = { run_id: reply.workflow_run_id, job_id: reply.job_id, execution_id: reply.job_execution_id };
      logger.info(ids, "a job that arrived too late was handed back");
    } catch (error) {
      logger.debug({ error: (error as Error).message }, "the last claim was not answered");
    }
    return null;
  }

  private startJob(claim: ClaimReply, session: Session): void {
    const { monitor } = this.options;
    const job = new JobRunner(claim, {
      ...this.options.job,
      labels: monitor.labels,
      client: this.options.client,
      logger: this.logger,
      secrets: session.secrets,
      onDrain: () => this.drain("the control plane asked for it"),
      onCleanUpFailed: () => void (monitor.cleanUpFailures += 1),
      background: (work) => this.addCleanup(work, claim),
    });
    if (this.claims === 0) this.options.onClaim();
    this.claims += 1;
    this.endIdleTime();
    this.running.add(job);
    if (this.leaving !== null) job.handBack("machine_going", this.leaving);
    monitor.jobStarted(job);
    void this.queue.add(async () => {
      const end = await job.run();
      this.running.delete(job);
      if (this.running.size === 0 && !this.isDraining) this.beginIdleTime();
      monitor.jobEnded(job, end, job.infrastructureFault);
      this.count(end, job.whyHandedBack);
    });
  }

  private count(end: JobEnd, whyHandedBack: string | null): void {
    if (end === "finished") {
      this.faultsInARow = 0;
      this.faultPause.reset();
    }
    if (end !== "handed_back" || this.draining.signal.aborted) return;
    this.faultsInARow += 1;
    this.lastFault = whyHandedBack ?? "jobs cannot be run";
  }

  /** A machine that can run nothing must not eat the queue. When its probe passes and jobs still fail, the pauses grow. */
  private async awaitHealthy(session: Session): Promise<void> {
    if (this.faultsInARow < MAX_FAULTS_IN_A_ROW) return;
    const { signal } = this.draining;
    const { monitor } = this.options;
    monitor.setFault("sandbox", `${this.faultsInARow} jobs in a row could not be run: ${this.lastFault}`);
    monitor.waiting("the running jobs", null);
    await this.queue.onIdle();
    await this.settleCleanups();
    const report = new HealthReport(this.options.client, session.sessionToken, this.logger);
    await report.unhealthy(this.lastFault, signal);
    await this.pause(this.faultPause.next());
    const backoff = new Backoff();
    let told: string | null = null;
    while (!signal.aborted) {
      try {
        monitor.waiting("the sandboxes' check", null);
        await this.options.job.provider.prepare();
        this.faultsInARow = 0;
        monitor.setFault("sandbox", null);
        this.logger.info("healthy again: jobs are claimed");
        return await report.healthy(signal);
      } catch (error) {
        const { message } = error as Error;
        monitor.setFault("sandbox", `sandboxes cannot be made: ${message}`);
        if (message !== told)
          this.logger.error(`unhealthy: no jobs are claimed until sandboxes can be made: ${message}`);
        told = message;
        await report.unhealthy(message, signal);
        await this.pause(backoff.next());
      }
    }
  }

  /** A job that fills the disk of this machine harms the jobs beside it: none is claimed while there is too little room. */
  private async awaitRoom(): Promise<void> {
    const { monitor } = this.options;
    const backoff = new Backoff();
    for (let shortage = await this.options.job.disk.shortage(); shortage !== null; ) {
      if (this.draining.signal.aborted) return;
      monitor.setFault("disk_full", shortage);
      this.logger.error({ reason: "disk_full" }, `unhealthy: no jobs are claimed. ${shortage}`);
      await this.pause(backoff.next());
      shortage = await this.options.job.disk.shortage();
      if (shortage !== null) continue;
      monitor.setFault("disk_full", null);
      this.logger.info("healthy again: there is room on the disk, jobs are claimed");
    }
  }

  private async awaitFreeSlot(): Promise<void> {
    const { signal } = this.draining;
    const { monitor } = this.options;
    while (this.running.size >= monitor.concurrency && !signal.aborted) {
      const waiting = new AbortController();
      monitor.waiting("a free place", null);
      await new Promise<void>((resolve) => {
        this.wake.addEventListener("resized", () => resolve(), { signal: waiting.signal });
        this.queue.addEventListener("next", () => resolve(), { signal: waiting.signal });
        signal.addEventListener("abort", () => resolve(), { signal: waiting.signal });
      });
      waiting.abort();
    }
  }

  private async finishJobs(): Promise<void> {
    const { drainTimeoutMs, monitor } = this.options;
    monitor.waiting("the running jobs", null);
    const timer = setTimeout(() => {
      for (const job of this.running)
        job.handBack("draining", "The runner is stopping and its drain timeout has passed.");
    }, drainTimeoutMs);
    await this.queue.onIdle();
    clearTimeout(timer);
    await this.settleCleanups();
  }

  private addCleanup(work: Promise<unknown>, claim: ClaimReply): void {
    const ids = { run_id: claim.workflow_run_id, job_id: claim.job_id, execution_id: claim.job_execution_id };
    const settled = work.then(
      () => {},
      (error: unknown) => this.logger.warn({ ...ids, error: (error as Error).message }, "a clean-up failed"),
    );
    this.cleanups.add(settled);
    void settled.then(() => this.cleanups.delete(settled));
  }

  private async settleCleanups(): Promise<void> {
    while (this.cleanups.size > 0) await Promise.all(this.cleanups);
  }

  private async endSession(): Promise<void> {
    if (this.session === null) return;
    await this.options.client
      .endSession(this.session.sessionToken, AbortSignal.timeout(END_SESSION_LIMIT_MS))
      .catch((error: Error) => {
        this.logger.debug({ error: error.message }, "the session was not ended");
      });
  }

  private tellReady(): void {
    if (this.isReadyTold) return;
    this.isReadyTold = true;
    this.options.onReady();
    setImmediate(() => this.logger.info({ concurrency: this.options.monitor.concurrency }, "runner ready"));
  }

  private async pause(milliseconds: number): Promise<void> {
    this.options.monitor.waiting("a pause", milliseconds);
    await sleep(milliseconds, undefined, { signal: this.draining.signal }).catch(() => {});
  }
}

function isJob(reply: ClaimReply | NoWork | null): reply is ClaimReply {
  return reply !== null && "job_id" in reply;
}
