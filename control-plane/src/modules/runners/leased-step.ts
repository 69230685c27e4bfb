import { ApiError } from "@shipfox/shared/errors";
import type { LeasePrincipal } from "../../http/route.ts";
import type { Tx } from "../../store/store.ts";
import { requireLive } from "../dispatch/public.ts";

export interface LeasedStepFacts {
  readonly type: string;
  readonly config: Record<string, unknown>;
}

const STEP = "select type, status, current_attempt, config from steps where id = ? and job_execution_id = ?";

/**
 * The running step of a live lease, for what is given to that step and attempt only. Throws 404 `lease-not-active` and
 * `step-not-found`, 409 `step-attempt-mismatch` and `step-not-running`.
 */
export async function requireLeasedStep(
  tx: Tx,
  principal: LeasePrincipal,
  stepId: string,
  attempt: number,
): Promise<LeasedStepFacts> {
  await requireLive(tx, principal);
  const step = await tx.get<{ type: string; status: string; current_attempt: number; config: string }>(STEP, [
    stepId,
    principal.executionId,
  ]);
  if (!step) throw new ApiError("step-not-found", "the step does not belong to this job");
  if (step.current_attempt !== attempt)
    throw new ApiError("step-attempt-mismatch", `the current attempt is ${step.current_attempt}`);
  if (step.status !== "running") throw new ApiError("step-not-running", "the step is not running");
  return { type: step.type, config: JSON.parse(step.config) as Record<string, unknown> };
}
