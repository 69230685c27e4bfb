import type { ClaimReply } from "@shipfox/shared/machine";

/** Which job this is; no secret. */
export function jobIdentity({ job, ...claim }: ClaimReply, runnerName: string): Record<string, string> {
  return known({
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
    SHIPFOX_RUNNER_NAME: runnerName,
  });
}

/** Without the variables that have no value. */
export function known(variables: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
