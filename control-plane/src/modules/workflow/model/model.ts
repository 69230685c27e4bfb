import type { PullPolicy } from "@shipfox/shared/machine";
import type { Diagnostic } from "../diagnostics.ts";
import type {
  InputDocument,
  IntegrationDocument,
  MatrixValue,
  OnBusy,
  OutputType,
  RetryCause,
} from "../document/document.ts";
import type { Template } from "../expressions/template.ts";
import type { LineRange, Position } from "../yaml/source-map.ts";

/** A workflow ready to run: defaults filled in, inheritance resolved, texts unescaped. Plain JSON. */
export interface WorkflowModel {
  kind: "workflow";
  name: string;
  runName?: Template;
  /** Of a run: the values of the variables that `runName` computes with. */
  variables?: Record<string, string>;
  manualTrigger: ManualTriggerModel | null;
  /** What a call may give, by name; of a workflow that can be fired by hand see `manualTrigger`. */
  inputs?: Record<string, InputDocument>;
  /** What a call publishes, by name. */
  outputs?: Record<string, Template>;
  /** In file order; `needs` form no cycle. */
  jobs: JobModel[];
}

/**
 * All that a file says, also what this version does not run. A plan without `notRunnable` is a `WorkflowModel`; keys that
 * a file does not use are absent.
 */
export interface WorkflowPlan extends Omit<WorkflowModel, "jobs"> {
  /** In file order, without the manual one. */
  triggers?: TriggerModel[];
  jobs: JobPlan[];
  /** Why no run can be created, the first few places; absent when one can. */
  notRunnable?: Diagnostic[];
}

export type TriggerModel = { key: string; event: string; with: Record<string, unknown> | null } & (
  | { source: "cron"; schedule: string; timezone: string }
  /** `source` is the slug of a connection, or `workflow`, then with that workflow's name or path; `filter` a bare expression. */
  | { source: string; filter: string | null; workflow?: string }
);

export interface JobPlan extends Omit<JobModel, "steps"> {
  steps: StepPlan[];
}

export interface ListeningModel {
  on: ListenerModel[];
  until: ListenerModel[];
  timeoutMs: number | null;
  maxExecutions: number | null;
  batch: { debounceMs: number | null; maxSize: number | null; maxWaitMs: number | null } | null;
  onResolve: "finish" | "cancel";
}

export interface ListenerModel {
  source: string;
  event: string;
  with: Record<string, unknown> | null;
  filter: string | null;
}

export type RunStepModel = StepModel & StepRules;

export type AuthoredStepModel = (StepModel | CheckoutStepModel) & StepRules;

export type StepPlan = (StepModel | AgentStepModel | CheckoutStepModel) & StepRules;

/** What decides about a step of any kind beside what it does. */
export interface StepRules {
  nameTemplate?: Template;
  if?: string;
  gate?: { success: string | null; restartFrom: string | null; feedback: Template | null };
  outputs?: Record<string, { type: OutputType; schema?: Record<string, unknown> | boolean }>;
  workingDirectoryTemplate?: Template;
}

interface CommonStepModel {
  key: string | null;
  name: string;
  workingDirectory: string | null;
  /** First and last line of the step in the file, from 1. */
  sourceLocation: LineRange;
}

export interface AgentStepModel extends CommonStepModel {
  type: "agent";
  prompt: Template;
  model?: Template;
  provider?: Template;
  thinking?: Template;
  harness?: "pi" | "claude";
  tools?: string[];
  integrations?: IntegrationDocument[];
}

export type CheckoutField = "project" | "connection" | "repository" | "ref" | "path";

export interface CheckoutStepModel extends CommonStepModel {
  type: "checkout";
  target: Partial<Record<CheckoutField, Template>>;
  force: boolean;
  contents: "read" | "write";
  persistCredentials: boolean;
  /** Commits of history; 0 is all of it. */
  fetchDepth: number;
}

export interface ManualTriggerModel {
  key: string;
  name: string;
  event: string;
  /** Inputs of a run that is fired without any. */
  with: Record<string, unknown> | null;
  /** What a run may be given, by name; absent when anything may be given. */
  inputs?: Record<string, InputDocument>;
}

export interface JobModel {
  /** Behind that of the call, if it is part of one, and `/`. */
  key: string;
  name: string | null;
  /** Of a job that calls a workflow: it has no steps, starts that workflow's jobs, and ends after them. */
  call?: CallModel;
  /** The key of the call that it is part of. */
  within?: string;
  /** The called file in which it stands, from the root of the repository. */
  file?: string;
  /** Of one of the jobs that a job with a matrix becomes. */
  matrix?: MatrixModel;
  /** Keys of other jobs, each once; that of a job with a matrix stands for all its jobs. */
  needs: string[];
  /** Canonical labels; a runner must have them all, and those that `runnerTemplates` become. */
  runner: string[];
  /** Labels that are known when the job starts. */
  runnerTemplates?: Template[];
  image: string | null;
  /** Absent: the runner's own policy. */
  pull?: PullPolicy;
  /** In file order; absent without any. */
  services?: ServiceModel[];
  /** Absent: what the runner gives its jobs. */
  network?: "none";
  /** Absent without any. */
  caches?: CacheModel[];
  uploads?: ArtifactUploadModel[];
  downloads?: ArtifactDownloadModel[];
  /** Null when the job starts with an empty workspace. */
  checkout: CheckoutModel | null;
  executionTimeoutMs: number;
  /** Absent: only faults of the machine are tried again. */
  retry?: RetryModel;
  /** Absent: it goes beside any other. */
  concurrency?: ConcurrencyModel;
  /** Higher goes first within its project; absent is 0. */
  priority?: number;
  /** Bare expressions. */
  if?: string;
  success?: string;
  outputs?: Record<string, Template>;
  executionName?: Template;
  /** The job runs for each event, or batch of events; absent for one that runs once. */
  listening?: ListeningModel;
  /** Of a run: the values of the variables that its expressions read. */
  variables?: Record<string, string>;
  steps: AuthoredStepModel[];
}

export interface CallPlaces {
  uses: Position;
  with: Record<string, Position>;
}

export interface CallModel {
  /** From the root of the repository. */
  path: string;
  with: Record<string, Template | number | boolean>;
  /** What the called workflow declares, by name; of a call that is linked. */
  inputs?: Record<string, InputDocument>;
  /** Of a call that is not linked: where it stands in the file. */
  places?: CallPlaces;
}

export interface MatrixModel {
  /** The key of the job as it stands in the file. */
  job: string;
  /** Null for a name that only other jobs of the matrix have. */
  values: Record<string, MatrixValue | null>;
  /** How many of its jobs may go at once; null for any number. */
  maxParallel: number | null;
  /** The first of its jobs that fails ends the others. */
  failFast: boolean;
}

/** Which ends of an execution are tried again, how often, and after how long a wait, which grows by `factor` each time. */
export interface RetryModel {
  max: number;
  on: RetryCause[];
  backoff: { delayMs: number; factor: number; maxMs: number };
}

/** Of all that give the group one name, in their project, one goes at a time. */
export interface ConcurrencyModel {
  group: Template;
  onBusy: OnBusy;
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

/** Paths are relative to the workspace. */
export interface CacheModel {
  key: string;
  /** A digest of their content is put behind the key; absent without any. */
  hashFiles?: string[];
  paths: string[];
  restoreKeys: string[];
}

export interface ArtifactUploadModel {
  name: string;
  paths: string[];
  /** Null: the server's setting. */
  retentionMs: number | null;
  ifMissing: "fail" | "ignore";
  when: "success" | "always";
}

export interface ArtifactDownloadModel {
  /** One of the job's needs. */
  job: string;
  name: string;
  path: string;
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

export interface StepModel extends CommonStepModel {
  type: "run";
  /** Expressions are replaced by references to variables of `bindings`. */
  run: string;
  /** Workflow, job and step variables merged; the innermost wins. */
  env: Record<string, string>;
  /** Variables whose value has expressions; none is also in `env`. Absent without any. */
  bindings?: Record<string, Template>;
  /** The first expression of `run` that would become code of the shell: no run can be created. */
  unsafeExpression?: string;
  timeoutMs: number | null;
}

/** What a runner must be able to do, beyond its labels, to run `job`. */
export function requiredCapabilities(
  job: Pick<JobModel, "image" | "services" | "network" | "caches" | "uploads" | "downloads">,
): string[] {
  const needed = {
    image: job.image !== null,
    services: job.services !== undefined,
    network: job.network !== undefined,
    files: job.caches !== undefined || job.uploads !== undefined || job.downloads !== undefined,
  };
  return Object.entries(needed).flatMap(([capability, isNeeded]) => (isNeeded ? [capability] : []));
}
