import type { PullPolicy } from "@shipfox/shared/machine";
import type { Template } from "../expressions.ts";
import type { LineRange } from "../yaml/source-map.ts";

/** A workflow ready to run: defaults filled in, inheritance resolved, texts unescaped. Plain JSON. */
export interface WorkflowModel {
  kind: "workflow";
  name: string;
  manualTrigger: ManualTriggerModel | null;
  /** In file order; `needs` form no cycle. */
  jobs: JobModel[];
}

export interface ManualTriggerModel {
  key: string;
  name: string;
  event: string;
  /** Inputs of a run that is fired without any. */
  with: Record<string, unknown> | null;
}

export interface JobModel {
  key: string;
  name: string | null;
  /** Keys of other jobs, each once. */
  needs: string[];
  /** Canonical labels, at least one; a runner must have them all. */
  runner: string[];
  image: string | null;
  /** Absent: the runner's own policy. */
  pull?: PullPolicy;
  /** In file order; absent without any. */
  services?: ServiceModel[];
  /** Absent: what the runner gives its jobs. */
  network?: "none";
  /** Null when the job starts with an empty workspace. */
  checkout: CheckoutModel | null;
  executionTimeoutMs: number;
  steps: StepModel[];
}

export interface CheckoutModel {
  contents: "read" | "write";
  /** Whether later steps may use the credential with git. */
  persistCredentials: boolean;
  /** Commits of history; 0 is all of it. */
  fetchDepth: number;
  submodules: "none" | "direct" | "recursive";
  lfs: boolean;
}

export interface ServiceModel {
  /** A host name in the job's network. */
  name: string;
  image: string;
  pull?: PullPolicy;
  env?: Record<string, string>;
  /** Replaces the command of the image; its entrypoint stays. */
  command?: string[];
  /** Ports that must accept connections before the steps start. */
  ports?: number[];
  health?: HealthModel;
}

export interface HealthModel {
  /** Shell text, or a program and its arguments. */
  cmd: string | string[];
  intervalMs?: number;
  timeoutMs?: number;
  retries?: number;
  startPeriodMs?: number;
}

export interface StepModel {
  key: string | null;
  name: string;
  type: "run";
  /** Expressions are replaced by references to variables of `bindings`. */
  run: string;
  /** Workflow, job and step variables merged; the innermost wins. */
  env: Record<string, string>;
  /** Variables whose value has expressions; none is also in `env`. Absent without any. */
  bindings?: Record<string, Template>;
  /** The first expression of `run` that would become code of the shell: no run can be created. */
  unsafeExpression?: string;
  workingDirectory: string | null;
  timeoutMs: number | null;
  /** First and last line of the step in the file, from 1. */
  sourceLocation: LineRange;
}

/** What a runner must be able to do, beyond its labels, to run `job`. */
export function requiredCapabilities(job: JobModel): string[] {
  const needed = {
    image: job.image !== null,
    services: job.services !== undefined,
    network: job.network !== undefined,
  };
  return Object.entries(needed).flatMap(([capability, isNeeded]) => (isNeeded ? [capability] : []));
}
