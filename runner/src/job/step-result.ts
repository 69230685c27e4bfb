import type { StepError } from "@shipfox/shared/api/runs";
import type { ReleaseReason } from "@shipfox/shared/failure";
import type { ReportBody } from "@shipfox/shared/machine";
import type { SandboxError, SandboxFault } from "../sandbox/sandbox-error.ts";

/** What a step says of its end. */
export type StepReport = Omit<ReportBody, "log_outcome" | "attempt" | "next">;

/** How a step ended: with something to report, or with the job going back to the queue. */
export type StepResult =
  | { kind: "report"; report: StepReport }
  | { kind: "hand_back"; reason: ReleaseReason; why: string }
  /** A stop was requested; nothing is reported. */
  | { kind: "stopped" };

export function failed(
  error: StepError,
  rest: { exit_code?: number | null; output?: Record<string, string> } = {},
): StepResult {
  return { kind: "report", report: { status: "failed", error, exit_code: error.exit_code ?? null, ...rest } };
}

/**
 * What a fault of the sandbox means for the job: it goes back to the queue when another runner, or this one later, would not
 * have it; the others are the workflow's to correct and are reported.
 */
export function afterSandboxFault(error: SandboxError): StepResult {
  const reason = releaseReasonOf(error.reason);
  if (reason === null) return failed({ message: error.message, reason: stepReasonOf(error.reason) });
  return { kind: "hand_back", reason, why: error.message };
}

function releaseReasonOf(fault: SandboxFault): ReleaseReason | null {
  switch (fault) {
    case "image_unavailable":
    case "image_unusable":
    case "not_supported":
    case "service_failed":
      return null;
    case "docker_unavailable":
    case "timed_out":
      return "docker_unavailable";
    case "registry_unavailable":
      return "image_unavailable";
    case "disk_full":
      return "disk_full";
    case "network_unavailable":
    case "start_failed":
    case "sandbox_lost":
    case "clean_up_failed":
      return "sandbox_unavailable";
  }
}

export function stepReasonOf(fault: SandboxFault): "image_unavailable" | "service_failed" | "sandbox_unavailable" {
  if (fault === "service_failed") return "service_failed";
  return fault === "image_unavailable" || fault === "image_unusable" ? "image_unavailable" : "sandbox_unavailable";
}
