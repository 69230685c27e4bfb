import type { Logger } from "pino";
import type { Lifelines } from "../lifelines.ts";
import type { JobUser } from "../sandbox.ts";

export interface HostOptions {
  /** Absolute path; below it the jobs keep their folders. Steps must be able to pass through every folder above it. */
  workRoot: string;
  /** Marks the processes of this runner's jobs; the same after each restart, and no other runner's. */
  runnerId: string;
  logger: Logger;
  lifelines: Lifelines;
  /** Only heeded when the runner is root. */
  jobUser?: JobUser | null;
  /** Variables that the operator passes on to every step. */
  passedEnv?: Readonly<Record<string, string>>;
  npmrcFile?: string | null;
  /** Must be readable for the steps' user. */
  caFile?: string | null;
  /** `auto` takes namespaces where the kernel lets us. */
  isolation?: "auto" | "process-group";
}

export interface HostSettings extends Required<Omit<HostOptions, "jobUser">> {
  user: JobUser;
  placesFolder: string;
}
