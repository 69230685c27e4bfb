import type { StepError } from "@shipfox/shared/api/runs";
import type { ReleaseReason, ReportBody } from "@shipfox/shared/machine";
import type { SandboxFault } from "../sandbox/sandbox-error.ts";

/** How a step ended: with something to report, or with the job going back to the queue. */
export type StepResult =
  | { kind: "report"; report: Omit<ReportBody, "log_outcome" | "attempt" | "next"> }
  | { kind: "hand_back"; reason: ReleaseReason; why: string }
  /** A stop was requested; nothing is reported. */
  | { kind: "stopped" };

export function failed(
  error: StepError,
  rest: { exit_code?: number | null; output?: Record<string, string> } = {},
): StepResult {
  return { kind: "report", report: { status: "failed", error, exit_code: error.exit_code ?? null, ...rest } };
}

/** Faults that another runner, or this one later, would not have. The others are the workflow's to correct. */
export function isInfrastructureFault(fault: SandboxFault): boolean {
  return fault !== "image_unavailable" && fault !== "image_unusable" && fault !== "not_supported";
}

export function stepReasonOf(fault: SandboxFault): "image_unavailable" | "sandbox_unavailable" {
  return fault === "image_unavailable" || fault === "image_unusable" ? "image_unavailable" : "sandbox_unavailable";
}
