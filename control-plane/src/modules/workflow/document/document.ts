import type { PullPolicy } from "@shipfox/shared/machine";

/** A workflow as its author wrote it: the keys of the YAML file, values not yet normalised. Plain JSON. */
export interface WorkflowDocument {
  name: string;
  run_name?: string;
  runner?: string | string[];
  env?: EnvDocument;
  triggers?: Record<string, TriggerDocument>;
  inputs?: Record<string, InputDocument>;
  outputs?: Record<string, string>;
  jobs: Record<string, JobDocument | CallDocument>;
}

export type EnvDocument = Record<string, string | number | boolean>;

export interface ListeningTriggerDocument {
  source: string;
  event: string;
  with?: Record<string, unknown>;
  filter?: string;
}

export interface TriggerDocument extends ListeningTriggerDocument {
  inputs?: Record<string, InputDocument>;
  config?: { schedule?: string; timezone?: string; workflow?: string };
}

export interface InputDocument {
  type: "string" | "number" | "boolean" | "choice";
  description?: string;
  required?: boolean;
  default?: string | number | boolean;
  options?: string[];
}

/** `default` is what the runner gives its jobs, `none` is nothing at all. */
export type JobNetwork = "default" | "none";

export interface JobDocument {
  name?: string;
  needs?: string | string[];
  matrix?: MatrixDocument;
  if?: string;
  runner?: string | string[];
  image?: ImageDocument;
  services?: Record<string, ServiceDocument>;
  network?: JobNetwork;
  cache?: CacheDocument | CacheDocument[];
  artifacts?: { upload?: ArtifactUploadDocument[]; download?: ArtifactDownloadDocument[] };
  env?: EnvDocument;
  checkout?: false | CheckoutDocument;
  execution_timeout?: string;
  retry?: RetryDocument;
  concurrency?: ConcurrencyDocument;
  priority?: number;
  execution_name?: string;
  success?: string;
  outputs?: Record<string, string>;
  listening?: ListeningDocument;
  steps: StepDocument[];
}

/** A job that calls another workflow. */
export interface CallDocument {
  name?: string;
  needs?: string | string[];
  matrix?: MatrixDocument;
  if?: string;
  uses: string;
  with?: Record<string, string | number | boolean>;
}

export type MatrixValue = string | number | boolean;

/** Axes by their names, beside the settings. */
export interface MatrixDocument {
  [axis: string]: MatrixValue[] | Record<string, MatrixValue>[] | number | boolean | undefined;
  include?: Record<string, MatrixValue>[];
  exclude?: Record<string, MatrixValue>[];
  max_parallel?: number;
  fail_fast?: boolean;
}

export type RetryDocument =
  | number
  | {
      max: number;
      on?: RetryCause | RetryCause[];
      backoff?: { delay: string; factor?: number; max?: string };
    };

export type RetryCause = "failure" | "timeout";

/** A text is the group. */
export type ConcurrencyDocument = string | { group: string; on_busy?: OnBusy };

/** What one does that comes while another of its group goes. */
export type OnBusy = "queue" | "replace";

export interface ListeningDocument {
  on: ListeningTriggerDocument[];
  until?: ListeningTriggerDocument[];
  timeout?: string;
  max_executions?: number;
  batch?: { debounce?: string; max_size?: number; max_wait?: string };
  on_resolve?: "finish" | "cancel";
}

export interface CacheDocument {
  key: string;
  hash_files?: string[];
  paths: string[];
  restore_keys?: string[];
}

export interface ArtifactUploadDocument {
  name: string;
  paths: string[];
  retention?: string;
  if_missing?: "fail" | "ignore";
  when?: "success" | "always";
}

export interface ArtifactDownloadDocument {
  job: string;
  name: string;
  path?: string;
}

export type ImageDocument = string | { name: string; pull?: PullPolicy };

export type ServiceDocument =
  | string
  | {
      image: ImageDocument;
      env?: EnvDocument;
      command?: string | string[];
      ports?: number[];
      health?: HealthDocument;
    };

export interface HealthDocument {
  cmd: string | string[];
  interval?: string;
  timeout?: string;
  retries?: number;
  start_period?: string;
}

/** Exactly one kind: the keys of the others are absent. */
export type StepDocument = RunStepDocument | AgentStepDocument | CheckoutStepDocument;

export interface CommonStepDocument {
  key?: string;
  name?: string;
  if?: string;
  gate?: { success?: string; on_failure?: { restart_from: string; feedback?: string } };
  outputs?: Record<string, OutputDocument>;
  working_directory?: string;
}

export interface RunStepDocument extends CommonStepDocument {
  run: string;
  env?: EnvDocument;
  timeout?: string;
}

export interface AgentStepDocument extends CommonStepDocument {
  prompt: string;
  model?: string;
  provider?: string;
  thinking?: string;
  harness?: "pi" | "claude";
  tools?: string[];
  integrations?: IntegrationDocument[];
}

export interface CheckoutStepDocument extends CommonStepDocument {
  checkout: CheckoutTargetDocument;
}

export interface IntegrationDocument {
  connection?: string;
  include: string[];
  exclude?: string[];
  allow_write?: boolean;
}

export type OutputType = "string" | "number" | "boolean" | "json";
export type OutputDocument = OutputType | { type: OutputType; schema?: Record<string, unknown> | boolean };

export interface CheckoutTargetDocument {
  project?: string;
  connection?: string;
  repository?: string;
  ref?: string;
  path?: string;
  force?: boolean;
  permissions?: { contents?: "read" | "write" };
  "persist-credentials"?: boolean;
  "fetch-depth"?: number;
}

export interface CheckoutDocument {
  permissions?: { contents?: "read" | "write" };
  "persist-credentials"?: boolean;
  "fetch-depth"?: number;
  submodules?: boolean | "recursive";
  lfs?: boolean;
}
