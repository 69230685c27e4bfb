/**
 * A fault of the machine, the engine or the runner's configuration, never of the user's step. `message` says for people what
 * is wrong and what to do; `reason` decides what the runner does with the job.
 */
export class SandboxError extends Error {
  override readonly name = "SandboxError";
  readonly reason: SandboxFault;

  constructor(reason: SandboxFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export type SandboxFault =
  /** The daemon does not answer or refuses this user. */
  | "docker_unavailable"
  /** Not on this machine, and no registry has it or gives it to us. */
  | "image_unavailable"
  /** Not on this machine, and its registry does not answer or asks to slow down. */
  | "registry_unavailable"
  /** The image is there but cannot run steps, for example without `sh`. */
  | "image_unusable"
  /** A service beside the steps did not start, ended or is unhealthy. */
  | "service_failed"
  | "disk_full"
  /** No free subnet, bridge or address. */
  | "network_unavailable"
  | "start_failed"
  /** The container or namespace went away under a running job. */
  | "sandbox_lost"
  /** A call to the engine missed its deadline. */
  | "timed_out"
  | "clean_up_failed"
  /** The job asks for something that this runner does not offer. */
  | "not_supported";

/** Errors of file and process calls on the runner's own disk, told apart from the rest by their code. */
export function hostFault(what: string, cause: unknown): SandboxError {
  if (cause instanceof SandboxError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  const detail = cause instanceof Error ? cause.message : String(cause);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new SandboxError(
      "disk_full",
      `The runner's disk is full: ${what}: ${detail}. Free space below its work folder.`,
      { cause },
    );
  }
  return new SandboxError("start_failed", `${what}: ${detail}`, { cause });
}
