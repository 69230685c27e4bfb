import type { ClaimReply, LeasedStep } from "@shipfox/shared/machine";
import type { ControlPlaneClient } from "../control-plane/client.ts";
import type { Masker } from "../logs/masking.ts";
import type { StepLog } from "../logs/step-log.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Mirrors } from "../workspace/mirror.ts";
import type { JobCheckouts } from "./job-checkouts.ts";
import type { JobEnvironment } from "./job-environment.ts";
import type { JobFiles } from "./job-files.ts";
import type { JobHooks } from "./job-hooks.ts";
import type { JobClock } from "./job-clock.ts";
import type { Lease } from "./lease.ts";
import type { PostJob } from "./post-job.ts";
import type { StepAnnotations } from "./step-annotations.ts";
import type { StepFileStock } from "./step-file-stock.ts";
import type { StopSwitch } from "./stop.ts";

/** What a step of a job works with. */
export interface StepContext {
  claim: ClaimReply;
  step: LeasedStep;
  attempt: number;
  /** Of the trace of the run, where it has one. */
  traceparent: string | undefined;
  client: ControlPlaneClient;
  lease: Lease;
  sandbox: Sandbox;
  /** Opens the sandbox; rejects without waiting for it when the job is stopped. */
  openSandbox: () => Promise<void>;
  mirrors: Mirrors;
  log: StepLog;
  annotations: StepAnnotations;
  /** What earlier steps set for this one and those after it. */
  environment: JobEnvironment;
  stepFiles: StepFileStock;
  postJob: PostJob;
  jobHooks: JobHooks;
  files: JobFiles;
  checkouts: JobCheckouts;
  masker: Masker;
  stop: StopSwitch;
  /** Aborted, with a sentence for people as its reason's message, when the job wrote more to disk than it may. */
  overLimit: AbortSignal;
  clock: JobClock;
  runnerName: string;
  labels: readonly string[];
  cancelGraceMs: number;
}
