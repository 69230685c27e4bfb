import type { StepError } from "@shipfox/shared/api/runs";
import type { ReleaseReason } from "@shipfox/shared/failure";
import type { Logger } from "@shipfox/shared/logger";
import {
  type Capabilities,
  type ClaimReply,
  type LeasedStep,
  type NextStepReply,
  type RegistryCredential,
  type ReportBody,
  type ReportReply,
  setupConfigSchema,
} from "@shipfox/shared/machine";
import type { DiskWatch } from "../disk/disk-watch.ts";
import { RefusedError, UnreachableError } from "@shipfox/shared/call-error";
import type { ControlPlaneClient } from "../control-plane/client.ts";
import type { LeaseKeeper } from "../guard/guard-process.ts";
import { LogBudget } from "../logs/log-budget.ts";
import { Masker } from "../logs/masking.ts";
import { StepLog } from "../logs/step-log.ts";
import type { LogOutcome } from "../logs/uploader.ts";
import type { Sandbox, SandboxProvider } from "../sandbox/sandbox.ts";
import { SandboxError } from "../sandbox/sandbox-error.ts";
import type { InfrastructureFault, JobProgress } from "../operate/monitor.ts";
import type { Mirrors } from "../workspace/mirror.ts";
import { AnnotationBudget } from "./annotation-budget.ts";
import { runCheckoutStep } from "./checkout-step.ts";
import { JobCheckouts } from "./job-checkouts.ts";
import { JobEnvironment } from "./job-environment.ts";
import { JobFiles } from "./job-files.ts";
import { type HookSettings, JobHooks } from "./job-hooks.ts";
import { JobClock } from "./job-clock.ts";
import { Lease } from "./lease.ts";
import { PostJob } from "./post-job.ts";
import { publishAnnotations } from "./publish-annotations.ts";
import { runRunStep } from "./run-step.ts";
import { runSetupStep } from "./setup-step.ts";
import { StepAnnotations } from "./step-annotations.ts";
import { StepFileStock } from "./step-file-stock.ts";
import type { StepContext } from "./step-context.ts";
import { failed, type StepReport, type StepResult, stepReasonOf } from "./step-result.ts";
import { type JobStop, StopSwitch } from "./stop.ts";

/** A log that the reachable plane takes nothing of for this long is abandoned. */
const LOG_IDLE_MS = 5_000;
const TAIL_LIMIT_MS = 30_000;
const RELEASE_LIMIT_MS = 20_000;
const KILLED_RELEASE_LIMIT_MS = 3_000;
const BAD_REQUEST = 400;

export interface JobSettings {
  client: ControlPlaneClient;
  keeper: LeaseKeeper;
  provider: SandboxProvider;
  mirrors: Mirrors;
  logger: Logger;
  spoolFolder: string;
  /** Bytes of one step's log that may wait on the disk. */
  spoolMaxBytes: number;
  runnerName: string;
  labels: readonly string[];
  capabilities: Capabilities;
  cancelGraceMs: number;
  outageLimitMs: number;
  hooks: HookSettings;
  disk: DiskWatch;
  /** Secrets of the runner itself that no log may show. */
  secrets: readonly string[];
  onDrain: () => void;
  /** The job's sandbox could not be removed at the first try. */
  onCleanUpFailed: () => void;
  /** Takes clean-ups that the next job need not wait for. */
  background: (work: Promise<unknown>) => void;
}

export type JobEnd = "finished" | "cancelled" | "lost" | "handed_back" | "killed";

/** How the steps of each kind run. */
const RUNS = { setup: runSetupStep, run: runRunStep, checkout: runCheckoutStep };

type StepReply = Extract<NextStepReply, { kind: "step" }>;

/** Works off one claimed job: step after step, in one sandbox, until the control plane has no more steps or it is stopped. */
export class JobRunner {
  private readonly claim: ClaimReply;
  private readonly settings: JobSettings;
  private readonly stop = new StopSwitch();
  /** Aborted by `kill`. */
  private readonly hurry = new AbortController();
  private readonly masker = new Masker();
  private readonly logBudget = new LogBudget();
  private readonly lease: Lease;
  private readonly environment = new JobEnvironment();
  private readonly annotationBudget = new AnnotationBudget();
  private readonly postJob: PostJob;
  private readonly jobHooks: JobHooks;
  private readonly files: JobFiles;
  private readonly checkouts = new JobCheckouts();
  private readonly clock = new JobClock();
  private isPaused = false;
  private sandbox: Sandbox | null = null;
  private stepFiles: StepFileStock | null = null;
  private readonly logger: Logger;
  private opening: Promise<void> | null = null;
  private isOpen = false;
  private closing: Promise<void> | null = null;
  private readonly startedAt = Date.now();
  private currentStep: JobProgress["step"] = null;
  /** Aborted, with the reason as its message, when the job wrote more than it may. */
  private readonly overLimit = new AbortController();
  private leaveDiskWatch = () => {};
  private currentLog: StepLog | null = null;
  private readonly unsentLogs: StepLog[] = [];

  constructor(claim: ClaimReply, settings: JobSettings) {
    this.claim = claim;
    this.settings = settings;
    this.logger = settings.logger.child({
      run_id: claim.workflow_run_id,
      job_id: claim.job_id,
      execution_id: claim.job_execution_id,
    });
    for (const secret of settings.secrets) this.masker.add(secret);
    this.postJob = new PostJob({ logger: this.logger, masker: this.masker });
    this.jobHooks = new JobHooks(settings.hooks, claim, settings.runnerName);
    this.files = new JobFiles({
      client: settings.client,
      leaseToken: () => this.lease.token,
      folder: settings.spoolFolder,
    });
    this.lease = new Lease({
      keeper: settings.keeper,
      claim,
      capabilities: settings.capabilities,
      stop: this.stop,
      outageLimitMs: settings.outageLimitMs,
      logger: this.logger,
      onDrain: settings.onDrain,
      onToken: (token) => this.masker.addRotating(token),
      onPause: () => this.pause(),
      onResume: () => this.resume(),
    });
  }

  /** Never rejects: what goes wrong is in the runner's log, and the control plane learns it from the lease. */
  async run(): Promise<JobEnd> {
    this.logger.info(this.claim.job ?? {}, "job started");
    this.lease.start();
    this.stop.hardSignal.addEventListener("abort", () => void this.closeSandbox());
    try {
      await this.runSteps();
    } catch (error) {
      this.logger.error({ error: (error as Error).stack }, "the job ended with an unexpected error");
      this.handBack("sandbox_unavailable", `The runner failed: ${(error as Error).message}`);
    }
    await this.conclude();
    const end = this.stop.stop?.kind ?? "finished";
    if (end !== "killed") await this.jobHooks.after(end, this.logger, this.hurry.signal);
    this.logger.info({ end }, "job ended");
    return end;
  }

  /** What it is doing now, for people. */
  get progress(): JobProgress {
    const { claim } = this;
    return {
      runId: claim.workflow_run_id,
      jobId: claim.job_id,
      executionId: claim.job_execution_id,
      project: claim.job?.project_name ?? null,
      workflow: claim.job?.workflow_name ?? null,
      runNumber: claim.job?.run_number ?? null,
      job: claim.job?.job_key ?? null,
      startedAt: this.startedAt,
      step: this.currentStep,
    };
  }

  /** What of the machine or the plane ended it, null when that was not it. Known after `run`. */
  get infrastructureFault(): InfrastructureFault | null {
    const stop = this.stop.stop;
    if (stop?.kind === "handed_back") return stop.reason;
    return stop?.kind === "lost" ? "lost" : null;
  }

  /** Stops the job with grace and gives it back to the queue. */
  handBack(reason: ReleaseReason, why: string): void {
    this.stop.request({ kind: "handed_back", reason, why });
  }

  /** Null unless the job goes back to the queue. */
  get whyHandedBack(): string | null {
    const { stop } = this.stop;
    return stop?.kind === "handed_back" ? stop.why : null;
  }

  kill(): void {
    this.hurry.abort();
    this.stop.request({ kind: "killed" });
  }

  /** Nothing of the user's runs before the sandbox is open or after it was closed. */
  private async pause(): Promise<void> {
    this.isPaused = true;
    this.clock.stop();
    if (this.isOpen && this.closing === null) await this.sandbox?.pause();
  }

  private async resume(): Promise<void> {
    this.isPaused = false;
    if (this.isOpen && this.closing === null) await this.sandbox?.resume();
    this.clock.start();
  }

  private async runSteps(): Promise<void> {
    let next: NextStepReply | null = this.claim.next ?? (await this.nextStep());
    while (next?.kind === "step" && !this.stop.signal.aborted) next = await this.runStep(next);
  }

  /** The next step, or null when the job is over for us. */
  private async runStep(reply: StepReply): Promise<NextStepReply | null> {
    const annotations = new StepAnnotations({
      position: reply.step.position,
      attempt: reply.attempt,
      masker: this.masker,
      budget: this.annotationBudget,
    });
    const log = this.openLog(reply, annotations);
    if (log === null) return null;
    const result = await this.execute(reply, log, annotations);
    if (result.kind === "hand_back") this.handBack(result.reason, result.why);
    if (result.kind !== "report") return null;
    const report = await this.leaveFiles(reply, result.report, log);
    if (report === null) return null;
    if (reply.last?.[report.status] === true) await this.runPostJob(log);
    const { operations, faults } = annotations.choose();
    for (const fault of faults) log.line(`Warning: ${fault}`, "stderr");
    const outcome = await log.finish(LOG_IDLE_MS, this.stop.signal);
    if (this.stop.signal.aborted) return null;
    await publishAnnotations(
      this.settings.client,
      { leaseToken: this.lease.token, stepId: reply.step.id, attempt: reply.attempt, operations },
      { signal: this.stop.signal, logger: this.logger },
    );
    this.currentLog = null;
    if (outcome === "drained") this.settings.background(log.close({ keep: false }));
    else this.unsentLogs.push(log);
    const answer = await this.report(reply, {
      ...report,
      log_outcome: outcome,
      attempt: reply.attempt,
      next: true,
    });
    if (answer === null || answer.cancel) return null;
    return answer.next ?? (await this.nextStep());
  }

  /** The report of a step; of the last one only after the job has left its artifacts and caches. Null when the job is over for us. */
  private async leaveFiles(reply: StepReply, report: StepReport, log: StepLog): Promise<StepReport | null> {
    const { sandbox, stop } = this;
    if (reply.last?.[report.status] !== true || sandbox === null || !this.isOpen) return report;
    try {
      const fault = await this.files.leave(report.status, { sandbox, log, signal: stop.signal });
      if (fault === null || report.status === "failed") return report;
      return { ...report, status: "failed", error: { message: fault, reason: "artifact_failed" } };
    } catch (error) {
      if (stop.signal.aborted || error instanceof RefusedError || error instanceof UnreachableError)
        return this.lose(error);
      const isFull = (error as NodeJS.ErrnoException).code === "ENOSPC";
      this.handBack(isFull ? "disk_full" : "sandbox_unavailable", `The job's files: ${(error as Error).message}`);
      return null;
    }
  }

  private openLog({ step, attempt, lease_token }: StepReply, { commands }: StepAnnotations): StepLog | null {
    const tokenOfStep = this.lease.adoptStepToken(lease_token);
    try {
      this.currentLog = new StepLog({
        spoolFolder: this.settings.spoolFolder,
        spoolMaxBytes: this.settings.spoolMaxBytes,
        identity: { job_id: this.claim.job_id, step_id: step.id, attempt, lease_token },
        masker: this.masker,
        budget: this.logBudget,
        onDiskFault: (message) => this.handBack("disk_full", `The runner cannot write its log spool: ${message}`),
        commands,
        send: (offset, records, signal) =>
          this.settings.client.appendLog({
            stepId: step.id,
            attempt,
            leaseToken: tokenOfStep(),
            offset,
            records,
            signal,
          }),
      });
      return this.currentLog;
    } catch (error) {
      this.handBack("disk_full", `The runner cannot write its log spool: ${(error as Error).message}`);
      return null;
    }
  }

  private async execute(reply: StepReply, log: StepLog, annotations: StepAnnotations): Promise<StepResult> {
    const { step, attempt, traceparent } = reply;
    this.logger.info({ step_id: step.id, step: step.name, attempt }, "step started");
    this.currentStep = { name: step.name, startedAt: Date.now() };
    if (step.type === "agent")
      return refuse(log, { message: `This runner does not support steps of type "${step.type}".` });
    if (step.type !== "setup" && !this.isOpen)
      return refuse(log, { message: "The job was not set up.", reason: "setup_aborted" });
    let sandbox: Sandbox;
    try {
      sandbox = this.sandbox ??= this.createSandbox(step, log);
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error;
      return refuse(log, { message: error.message, reason: stepReasonOf(error.reason) });
    }
    const context: StepContext = {
      ...this.settings,
      claim: this.claim,
      step,
      attempt,
      traceparent,
      lease: this.lease,
      sandbox,
      openSandbox: () => this.openSandbox(sandbox),
      log,
      annotations,
      environment: this.environment,
      stepFiles: (this.stepFiles ??= new StepFileStock(sandbox)),
      postJob: this.postJob,
      jobHooks: this.jobHooks,
      files: this.files,
      checkouts: this.checkouts,
      masker: this.masker,
      stop: this.stop,
      overLimit: this.overLimit.signal,
      clock: this.clock,
    };
    const result = await RUNS[step.type](context);
    for (const service of sandbox.takeServiceLogs()) {
      if (service.lines.length > 0) log.group(`Service ${service.name}`, service.lines);
    }
    return result;
  }

  private async report(reply: StepReply, result: ReportBody): Promise<ReportReply | null> {
    const { client } = this.settings;
    const body = result.error
      ? { ...result, error: { ...result.error, message: this.masker.mask(result.error.message) } }
      : result;
    const send = (content: ReportBody) => client.report(reply.step.id, this.lease.token, content, this.stop.signal);
    try {
      return await send(body).catch((error: unknown) => {
        if (!(error instanceof RefusedError) || error.status !== BAD_REQUEST) throw error;
        // An older server may not know a field of ours.
        const { message, exit_code, signal } = body.error ?? { message: "" };
        return send({
          status: body.status,
          log_outcome: body.log_outcome,
          attempt: body.attempt,
          exit_code: body.exit_code,
          output: body.output,
          ...(body.error ? { error: { message, exit_code, signal } } : {}),
        });
      });
    } catch (error) {
      return this.lose(error);
    }
  }

  private async nextStep(): Promise<NextStepReply | null> {
    try {
      return await this.settings.client.nextStep(this.lease.token, this.stop.signal);
    } catch (error) {
      return this.lose(error);
    }
  }

  private lose(error: unknown): null {
    if (!this.stop.signal.aborted) this.stop.request({ kind: "lost", why: (error as Error).message });
    return null;
  }

  /** The first step is the setup step, which knows the image; without an image of its own the job gets the runner's. */
  private createSandbox(step: LeasedStep, log: StepLog): Sandbox {
    const config = step.type === "setup" ? step.config : {};
    const { pull, services } = setupConfigSchema.safeParse(config).data ?? {};
    return this.settings.provider.create({
      jobId: this.claim.job_id,
      executionId: this.claim.job_execution_id,
      image: typeof config["image"] === "string" ? config["image"] : null,
      network: config["network"] === "none" ? "none" : "default",
      ...(pull === undefined ? {} : { pull }),
      ...(services === undefined ? {} : { services }),
      registryCredential: (image) => this.registryCredential(image),
      report: (line) => log.line(line),
      signal: this.stop.signal,
    });
  }

  private async registryCredential(image: string): Promise<RegistryCredential | null> {
    const credential = await this.settings.client.registryCredential(image, this.lease.token, this.stop.signal);
    if (credential !== null) this.masker.add(credential.password);
    return credential;
  }

  private async openSandbox(sandbox: Sandbox): Promise<void> {
    const { signal } = this.stop;
    this.opening = sandbox.open().then(async () => {
      this.isOpen = true;
      this.watchDisk(sandbox);
      this.stepFiles?.prepare();
      if (this.isPaused) await sandbox.pause();
    });
    let onAbort = () => {};
    const stopped = new Promise<never>((_, reject) => {
      onAbort = () => reject(new Error("The job was stopped."));
      signal.addEventListener("abort", onAbort, { once: true });
    });
    await Promise.race([this.opening, stopped]).finally(() => signal.removeEventListener("abort", onAbort));
  }

  private watchDisk(sandbox: Sandbox): void {
    this.leaveDiskWatch = this.settings.disk.watch({
      measure: () => sandbox.measureDisk(),
      onLimit: (message) => this.overLimit.abort(new Error(message)),
      onShortage: (message) => this.handBack("disk_full", message),
    });
  }

  private closeSandbox(): Promise<void> {
    this.closing ??= (async () => {
      await this.opening?.catch(() => {});
      await this.stepFiles?.idle();
      await this.sandbox?.close().finally(this.leaveDiskWatch);
    })().catch((error: unknown) => {
      this.settings.onCleanUpFailed();
      this.logger.error({ error: (error as Error).message }, "the sandbox could not be removed");
    });
    return this.closing;
  }

  private async runPostJob(log: StepLog | null): Promise<void> {
    const { stop, sandbox } = this;
    if (sandbox === null || !this.isOpen || stop.hardSignal.aborted) return;
    const isStopped = stop.signal.aborted;
    await this.postJob.run(sandbox, { log, isStopped, signal: isStopped ? stop.hardSignal : stop.signal });
  }

  /** Everything after the last step: clean-ups done, processes dead, the log's tail sent, the lease given up, in this order. */
  private async conclude(): Promise<void> {
    const { background } = this.settings;
    await this.runPostJob(this.currentLog);
    const stop = this.stop.stop;
    const closed = this.closeSandbox();
    // Nothing of the user's runs in a sandbox that is still opening; an image may take minutes to arrive.
    if (stop !== null && this.isOpen) await closed;
    else background(closed);
    const outcome = stop === null ? "drained" : await this.sendTail(stop);
    // Also stops the heartbeats, which would meet a lease that has ended.
    this.lease.end();
    if (stop !== null && !leaseIsOver(stop)) await this.release(stop);
    background(this.discardLogs(outcome));
  }

  private async sendTail(stop: JobStop): Promise<LogOutcome> {
    if (stop.kind === "lost") this.logger.warn({ why: stop.why }, "the job is lost");
    if (stop.kind === "cancelled") this.currentLog?.line("The job was cancelled.", "stderr");
    if (stop.kind === "handed_back") {
      this.logger.warn({ why: stop.why }, "the job goes back to the queue");
      this.currentLog?.line(`The job goes back to the queue. ${stop.why}`, "stderr");
    }
    const limit = AbortSignal.timeout(leaseIsOver(stop) ? LOG_IDLE_MS : TAIL_LIMIT_MS);
    const signal = leaseIsOver(stop) ? limit : AbortSignal.any([limit, this.stop.hardSignal]);
    return (await this.currentLog?.finish(LOG_IDLE_MS, signal)) ?? "drained";
  }

  private async release(stop: JobStop): Promise<void> {
    const release =
      stop.kind === "handed_back" ? { reason: stop.reason, message: stop.why } : { reason: "draining" as const };
    const limit = AbortSignal.timeout(stop.kind === "killed" ? KILLED_RELEASE_LIMIT_MS : RELEASE_LIMIT_MS);
    await this.settings.client.release(this.lease.jobId, this.lease.token, release, limit).catch((error: Error) => {
      this.logger.warn({ error: error.message }, "the job could not be released; its lease will end by itself");
    });
  }

  /** A tail that could not be sent stays on disk: the next start sends it. */
  private async discardLogs(tail: LogOutcome): Promise<void> {
    await Promise.all(this.unsentLogs.map((log) => log.close({ keep: false })));
    await this.currentLog?.close({ keep: tail === "abandoned" && this.stop.stop?.kind !== "lost" });
  }
}

/** The control plane has already ended it, so there is nothing to give back: a forced cancel revokes it. */
function leaseIsOver(stop: JobStop): boolean {
  return stop.kind === "lost" || (stop.kind === "cancelled" && stop.force === true);
}

function refuse(log: StepLog, error: StepError): StepResult {
  log.line(`Error: ${error.message}`, "stderr");
  return failed(error);
}
