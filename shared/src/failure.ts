import { z } from "zod";

/**
 * Why a job failed that its author cannot be blamed for: one list from the runner over the database and the API to the
 * command line. What is not in it is the user's: a command that failed, a time-out, an image with a wrong name.
 */
const HAND_BACKS = [
  /** The runner is stopping or was asked to finish up. */
  "draining",
  /** The machine is about to be taken away. */
  "machine_going",
  /** The runner was started again while it ran the job. */
  "runner_restarted",
] as const;
const MACHINE_FAULTS = [
  "sandbox_unavailable",
  /** The engine does not answer, or not in time. */
  "docker_unavailable",
  /** The registry did not answer, was overloaded or asked to slow down. */
  "image_unavailable",
  "disk_full",
  /** The operator's own pre-job script failed. */
  "hook_failed",
] as const;

/** With what reasons a runner may hand a job back. */
export const releaseReasonSchema = z.enum([...HAND_BACKS, ...MACHINE_FAULTS]);
export type ReleaseReason = z.infer<typeof releaseReasonSchema>;

export const infrastructureCauseSchema = z.enum([
  ...HAND_BACKS,
  ...MACHINE_FAULTS,
  /** The lease was not renewed in time. */
  "runner_lost",
  "runner_revoked",
  /** The runner hung up before it got the job. */
  "claim_abandoned",
]);
export type InfrastructureCause = z.infer<typeof infrastructureCauseSchema>;

/** Causes that say nothing about the machine's health: the job is queued again at once and keeps its retries. */
const FREE: ReadonlySet<InfrastructureCause> = new Set([...HAND_BACKS, "claim_abandoned"]);

/** Whether the cause uses up one of the retries that a job has for infrastructure faults. */
export function costsRetry(cause: InfrastructureCause): boolean {
  return !FREE.has(cause);
}

export const failureClassSchema = z.enum(["user", "infrastructure"]);
export type FailureClass = z.infer<typeof failureClassSchema>;
