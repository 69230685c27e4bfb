import { jobIdentity, known } from "./job-identity.ts";
import type { StepContext } from "./step-context.ts";

/**
 * What a step's commands find in their environment, beside what the sandbox and the image set: the variables of earlier
 * steps, under those that the workflow configured, under ours. What says who the job is cannot be changed by either.
 */
export function stepEnv(
  context: StepContext,
  configured: Readonly<Record<string, string>>,
  files: Record<string, string>,
): Record<string, string> {
  const { claim, step, attempt, sandbox, runnerName, environment, traceparent } = context;
  const ours = known({
    SHIPFOX: "true",
    SHIPFOX_WORKSPACE: sandbox.workspaceInside,
    SHIPFOX_STEP_ID: step.id,
    SHIPFOX_STEP_KEY: step.key ?? undefined,
    SHIPFOX_STEP_ATTEMPT: attempt.toString(),
    ...files,
  });
  return {
    CI: "true",
    ...known({ TRACEPARENT: traceparent }),
    ...environment.variables,
    ...configured,
    ...jobIdentity(claim, runnerName),
    ...ours,
  };
}
