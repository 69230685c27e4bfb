import { RefusedError, UnreachableError } from "@shipfox/shared/call-error";
import { SandboxError } from "../sandbox/sandbox-error.ts";
import { CheckoutError } from "../workspace/checkout-error.ts";
import { GitMissingError } from "../workspace/git-process.ts";
import { ArtifactFault } from "./job-files.ts";
import type { StepContext } from "./step-context.ts";
import { afterSandboxFault, failed, type StepResult } from "./step-result.ts";

/** What kept the workspace of a job from being filled, as the end of its step. `otherwise` is for what nobody foresaw. */
export function workspaceFault(
  error: unknown,
  { log, stop }: Pick<StepContext, "log" | "stop">,
  otherwise: "workspace_prep_failed" | "checkout_failed",
): StepResult {
  if (stop.signal.aborted) return { kind: "stopped" };
  const { message } = error as Error;
  log.line(`Error: ${message}`, "stderr");
  if (error instanceof CheckoutError) return failed({ message, reason: error.reason });
  if (error instanceof ArtifactFault) return failed({ message, reason: "artifact_failed" });
  if (error instanceof GitMissingError) return failed({ message, reason: "git_unavailable" });
  if (error instanceof SandboxError) return afterSandboxFault(error);
  if (error instanceof RefusedError || error instanceof UnreachableError) {
    stop.request({ kind: "lost", why: message });
    return { kind: "stopped" };
  }
  return failed({ message: `The workspace could not be prepared: ${message}`, reason: otherwise });
}
