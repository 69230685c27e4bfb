import type { Logger } from "pino";
import type { Lifelines } from "../lifelines.ts";
import type { Network } from "../network/networks.ts";
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
  /** `auto` keeps the steps' user from metadata addresses by the machine's firewall, where the runner may. */
  firewall?: "auto" | "off";
  /** What steps may not reach beside metadata addresses, and the exceptions; heeded with the firewall. */
  deniedNetworks?: readonly Network[];
  allowedNetworks?: readonly Network[];
}

export interface HostSettings extends Required<Omit<HostOptions, "jobUser">> {
  user: JobUser;
  placesFolder: string;
}
