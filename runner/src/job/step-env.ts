import type { RunConfig } from "@shipfox/shared/machine";
import type { StepContext } from "./step-context.ts";

/**
 * What a step's commands find in their environment, beside what the sandbox and the image set: the variables of earlier
 * steps, under those of the workflow, under ours. What says who the job is cannot be changed by either.
 */
export function stepEnv(
  context: StepContext,
  config: RunConfig,
  files: Record<string, string>,
): Record<string, string> {
  const { claim, step, attempt, sandbox, runnerName, environment } = context;
  const job = claim.job;
  const identity: Record<string, string | undefined> = {
    SHIPFOX: "true",
    SHIPFOX_WORKSPACE: sandbox.workspaceInside,
    SHIPFOX_WORKSPACE_ID: job?.workspace_id,
    SHIPFOX_PROJECT_ID: job?.project_id,
    SHIPFOX_PROJECT_NAME: job?.project_name,
    SHIPFOX_WORKFLOW_NAME: job?.workflow_name,
    SHIPFOX_RUN_ID: claim.workflow_run_id,
    SHIPFOX_RUN_NUMBER: job?.run_number.toString(),
    SHIPFOX_RUN_ATTEMPT: job?.run_attempt.toString(),
    SHIPFOX_JOB_ID: claim.job_id,
    SHIPFOX_JOB_KEY: job?.job_key,
    SHIPFOX_JOB_EXECUTION_ID: claim.job_execution_id,
    SHIPFOX_STEP_ID: step.id,
    SHIPFOX_STEP_KEY: step.key ?? undefined,
    SHIPFOX_STEP_ATTEMPT: attempt.toString(),
    SHIPFOX_RUNNER_NAME: runnerName,
    ...files,
  };
  const known = Object.entries(identity).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { CI: "true", ...environment.variables, ...config.env, ...Object.fromEntries(known) };
}
