import type { PullPolicy } from "@shipfox/shared/machine";

/** A workflow as its author wrote it: the keys of the YAML file, values not yet normalised. Plain JSON. */
export interface WorkflowDocument {
  name: string;
  runner?: string | string[];
  env?: EnvDocument;
  triggers?: Record<string, TriggerDocument>;
  jobs: Record<string, JobDocument>;
}

export type EnvDocument = Record<string, string | number | boolean>;

export interface TriggerDocument {
  source: "manual";
  event: string;
  with?: Record<string, unknown>;
}

/** `default` is what the runner gives its jobs, `none` is nothing at all. */
export type JobNetwork = "default" | "none";

export interface JobDocument {
  name?: string;
  needs?: string | string[];
  runner?: string | string[];
  image?: ImageDocument;
  services?: Record<string, ServiceDocument>;
  network?: JobNetwork;
  env?: EnvDocument;
  checkout?: false | CheckoutDocument;
  execution_timeout?: string;
  steps: StepDocument[];
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

export interface StepDocument {
  key?: string;
  name?: string;
  run: string;
  env?: EnvDocument;
  working_directory?: string;
  timeout?: string;
}

export interface CheckoutDocument {
  permissions?: { contents?: "read" | "write" };
  "persist-credentials"?: boolean;
  "fetch-depth"?: number;
  submodules?: boolean | "recursive";
  lfs?: boolean;
}
