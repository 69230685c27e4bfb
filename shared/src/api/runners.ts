import { z } from "zod";
import { id, nullableTimestamp, timestamp } from "./values.ts";

const MAX_TTL_SECONDS = 31_536_000;
const MAX_USES = 1_000_000;

export const registrationTokenSchema = z
  .object({
    id,
    workspace_id: id,
    prefix: z.string(),
    name: z.string().nullable(),
    max_uses: z.int().nullable(),
    uses: z.int(),
    expires_at: nullableTimestamp,
    revoked_at: nullableTimestamp,
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "RegistrationToken" });

export const createRegistrationTokenBodySchema = z.object({
  name: z.string().min(1).max(255).optional(),
  ttl_seconds: z.int().min(1).max(MAX_TTL_SECONDS).optional(),
  max_uses: z.int().min(1).max(MAX_USES).optional(),
});
export const createRegistrationTokenReplySchema = z.object({
  id,
  raw_token: z.string(),
  prefix: z.string(),
  name: z.string().nullable(),
  max_uses: z.int().nullable(),
  workspace_id: id,
  expires_at: nullableTimestamp,
  created_at: timestamp,
});
export const revokeRegistrationTokenQuerySchema = z.object({ cascade: z.enum(["true", "false"]).default("false") });
export const registrationTokensReplySchema = z.object({ manual_registration_tokens: z.array(registrationTokenSchema) });

/** One row of the published list of active runners; `running` is online and idle, `busy` has a job. */
export const activeRunnerSchema = z
  .object({
    runner_session_id: id.nullable(),
    runner_id: id.nullable(),
    runner_name: z.string().nullable(),
    provider_runner_id: z.string().nullable(),
    provisioned_runner_id: z.string().nullable(),
    provisioner_id: id.nullable(),
    state: z.enum(["starting", "running", "stopping", "busy"]),
    labels: z.array(z.string()),
    template_key: z.string().nullable(),
    provider_kind: z.string().nullable(),
    job_id: id.nullable(),
    workflow_run_attempt_id: id.nullable(),
    project_id: id.nullable(),
    reported_at: nullableTimestamp,
    last_heartbeat_at: nullableTimestamp,
    /** ours: why the runner takes no jobs; null while it is healthy. */
    unhealthy_reason: z.string().nullable(),
  })
  .meta({ id: "ActiveRunner" });
export const activeRunnersReplySchema = z.object({ runners: z.array(activeRunnerSchema) });

export const runnerSchema = z
  .object({
    id,
    workspace_id: id,
    name: z.string(),
    labels: z.array(z.string()),
    capabilities: z.record(z.string(), z.json()),
    state: z.enum(["online", "busy", "draining", "unhealthy", "offline", "revoked"]),
    /** Why it takes no jobs, as the runner says; null while it is healthy. */
    unhealthy: z.object({ reason: z.string(), since: timestamp }).nullable(),
    version: z.string().nullable(),
    /** What is wrong with the version, beside the control plane's; null when they are equal or it names none. */
    version_warning: z.string().nullable(),
    jobs: z.array(
      z.object({ job_id: id, job_execution_id: id, workflow_run_id: id, project_id: id, claimed_at: timestamp }),
    ),
    registered_at: timestamp,
    last_seen_at: nullableTimestamp,
    drain_requested_at: nullableTimestamp,
    revoked_at: nullableTimestamp,
  })
  .meta({ id: "Runner" });
export const runnersReplySchema = z.object({ runners: z.array(runnerSchema) });

export type RegistrationToken = z.infer<typeof registrationTokenSchema>;
export type CreatedRegistrationToken = z.infer<typeof createRegistrationTokenReplySchema>;
export type Runner = z.infer<typeof runnerSchema>;
export type ActiveRunner = z.infer<typeof activeRunnerSchema>;
