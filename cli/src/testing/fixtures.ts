import { type AdminUser, adminUserSchema, type AdminWorkspace, adminWorkspaceSchema } from "@shipfox/shared/api/admin";
import { type Annotation, annotationSchema } from "@shipfox/shared/api/annotations";
import { type AuditEvent, auditEventSchema } from "@shipfox/shared/api/audit";
import { connectionSchema } from "@shipfox/shared/api/integrations";
import { type Definition, definitionSchema, syncSchema } from "@shipfox/shared/api/definitions";
import { projectSchema } from "@shipfox/shared/api/projects";
import {
  type RegistrationToken,
  registrationTokenSchema,
  type Runner,
  runnerSchema,
} from "@shipfox/shared/api/runners";
import {
  type Job,
  type JobExecution,
  jobExecutionSchema,
  jobSchema,
  type RunDetail,
  runDetailSchema,
  type Step,
  type StepAttempt,
  stepAttemptSchema,
  stepSchema,
} from "@shipfox/shared/api/runs";
import { type Member, memberSchema, membershipSchema } from "@shipfox/shared/api/workspaces";
import type { LogRecord } from "@shipfox/shared/log-records";
import { newId } from "@shipfox/shared/ids";

/** Documents as the control plane answers them: whole, and checked with the wire schemas. */
const AT = "2026-07-06T10:00:00.000Z";
const times = { created_at: AT, updated_at: AT };

export const ids = {
  user: newId(),
  workspace: newId(),
  project: newId(),
  definition: newId(),
  connection: newId(),
  run: newId(),
};

export const user = {
  id: ids.user,
  email: "ada@example.com",
  name: "Ada",
  email_verified_at: AT,
  status: "active",
  ...times,
};

export function membership(overrides: Record<string, unknown> = {}) {
  return membershipSchema.parse({
    id: newId(),
    user_id: ids.user,
    workspace_id: ids.workspace,
    role: "owner",
    workspace_name: "Web Team",
    workspace_slug: "web",
    workspace_status: "active",
    ...times,
    ...overrides,
  });
}

export function member(overrides: Partial<Member> = {}): Member {
  return memberSchema.parse({
    id: newId(),
    user_id: newId(),
    workspace_id: ids.workspace,
    role: "maintainer",
    user_email: "ada@example.com",
    user_name: null,
    ...times,
    ...overrides,
  });
}

export function adminUser(overrides: Partial<AdminUser> = {}): AdminUser {
  return adminUserSchema.parse({
    id: newId(),
    email: "bob@example.com",
    name: "Bob",
    status: "active",
    email_verified_at: AT,
    admin_role: null,
    ...times,
    ...overrides,
  });
}

export function adminWorkspace(overrides: Partial<AdminWorkspace> = {}): AdminWorkspace {
  return adminWorkspaceSchema.parse({
    id: ids.workspace,
    name: "Web Team",
    slug: "web",
    status: "active",
    members: 2,
    projects: 1,
    ...times,
    ...overrides,
  });
}

export function auditEvent(overrides: Partial<AuditEvent> = {}): AuditEvent {
  return auditEventSchema.parse({
    id: newId(),
    created_at: AT,
    workspace_id: ids.workspace,
    actor: { type: "user", user_id: ids.user, email: "ada@example.com", token_id: null },
    action: "project.created",
    outcome: "done",
    target: { type: "project", id: ids.project, name: "Shop" },
    ip: "127.0.0.1",
    user_agent: null,
    request_id: "r1",
    details: {},
    ...overrides,
  });
}

export function project(overrides: Record<string, unknown> = {}) {
  const source = { connection_id: ids.connection, external_repository_id: "git:https://git.example.com/shop.git" };
  return projectSchema.parse({
    id: ids.project,
    workspace_id: ids.workspace,
    name: "Shop",
    slug: "shop",
    source,
    archived_at: null,
    untrusted_secrets: false,
    ...times,
    ...overrides,
  });
}

export function definition(overrides: Partial<Definition> = {}): Definition {
  return definitionSchema.parse({
    id: ids.definition,
    project_id: ids.project,
    config_path: ".shipfox/workflows/ci.yml",
    source: "vcs",
    sha: "abc",
    ref: "main",
    name: "CI",
    workflow_document: {},
    workflow_model: {},
    manual_trigger: { name: "start" },
    fetched_at: AT,
    ...times,
    ...overrides,
  });
}

export function sync(overrides: Record<string, unknown> = {}) {
  return syncSchema.parse({
    ref: "main",
    status: "succeeded",
    last_sync_at: AT,
    started_at: AT,
    finished_at: AT,
    last_error_code: null,
    last_error_message: null,
    warnings: [],
    ...overrides,
  });
}

export function connection(overrides: Record<string, unknown> = {}) {
  return connectionSchema.parse({
    id: ids.connection,
    workspace_id: ids.workspace,
    provider: "git",
    external_account_id: "git.example.com",
    slug: "git-example-com",
    display_name: "git.example.com",
    lifecycle_status: "active",
    capabilities: ["source_control"],
    ...times,
    ...overrides,
  });
}

export function registrationToken(overrides: Partial<RegistrationToken> = {}): RegistrationToken {
  return registrationTokenSchema.parse({
    id: newId(),
    workspace_id: ids.workspace,
    prefix: "sf_mrt_abcde",
    name: null,
    max_uses: null,
    uses: 0,
    expires_at: null,
    revoked_at: null,
    ...times,
    ...overrides,
  });
}

export function runner(overrides: Partial<Runner> = {}): Runner {
  return runnerSchema.parse({
    id: newId(),
    workspace_id: ids.workspace,
    name: "build-1",
    labels: ["linux", "x64"],
    capabilities: {},
    state: "online",
    unhealthy: null,
    version: "0.1.0",
    version_warning: null,
    jobs: [],
    registered_at: AT,
    last_seen_at: AT,
    drain_requested_at: null,
    revoked_at: null,
    ...overrides,
  });
}

export function attempt(overrides: Partial<StepAttempt> = {}): StepAttempt {
  return stepAttemptSchema.parse({
    id: newId(),
    step_id: newId(),
    attempt: 1,
    execution_order: 1,
    status: "running",
    exit_code: null,
    output: null,
    outputs: null,
    response: null,
    error: null,
    gate_result: null,
    restart_feedback: null,
    started_at: AT,
    finished_at: null,
    ...overrides,
  });
}

export function step(overrides: Partial<Step> = {}): Step {
  return stepSchema.parse({
    id: newId(),
    job_execution_id: newId(),
    key: null,
    name: "Test",
    source_location: null,
    status: "pending",
    status_reason: null,
    type: "run",
    config: {},
    evaluation_trace: null,
    error: null,
    failure_class: null,
    position: 0,
    current_attempt: 1,
    exit_code: null,
    outputs: null,
    response: null,
    gate_result: null,
    attempts: [],
    ...times,
    ...overrides,
  });
}

export function execution(overrides: Partial<JobExecution> = {}): JobExecution {
  return jobExecutionSchema.parse({
    id: newId(),
    job_id: newId(),
    sequence: 1,
    retry_of: null,
    name: "build",
    status: "running",
    status_reason: null,
    status_reason_message: null,
    failure_class: null,
    failure_cause: null,
    runner: ["linux"],
    runner_id: null,
    runner_name: "build-1",
    trigger_events: [],
    outputs: null,
    evaluation_trace: null,
    queued_at: AT,
    started_at: AT,
    finished_at: null,
    timed_out_at: null,
    steps: [],
    ...times,
    ...overrides,
  });
}

export function job(overrides: Partial<Job> = {}): Job {
  return jobSchema.parse({
    id: newId(),
    run_attempt_id: newId(),
    key: "build",
    name: null,
    matrix: null,
    call: null,
    within: null,
    mode: "one_shot",
    status: "pending",
    status_reason: null,
    status_reason_message: null,
    failure_class: null,
    failure_cause: null,
    carried_over: false,
    success: null,
    runner: ["linux"],
    concurrency_group: null,
    evaluation_trace: null,
    listening: null,
    listener_status: "inactive",
    resolution_reason: null,
    outputs: null,
    dependencies: [],
    position: 0,
    waiting: null,
    job_executions: [],
    ...times,
    ...overrides,
  });
}

export function runFields(overrides: Record<string, unknown> = {}) {
  return {
    id: ids.run,
    project_id: ids.project,
    definition_id: ids.definition,
    number: 7,
    name: "CI",
    workflow_name: "CI",
    status: "running",
    current_attempt: 1,
    latest_attempt: 1,
    trigger_provider: "manual",
    trigger_source: "manual",
    trigger_event: "fire",
    trigger_payload: {},
    trigger_reference: null,
    inputs: null,
    source_snapshot: null,
    started_at: AT,
    finished_at: null,
    ...times,
    ...overrides,
  };
}

export function run(status: RunDetail["status"], jobs: Job[]): RunDetail {
  const finished_at = status === "running" || status === "pending" ? null : "2026-07-06T10:00:05.000Z";
  const run_attempt = {
    id: newId(),
    workflow_run_id: ids.run,
    attempt: 1,
    status,
    created_at: AT,
    started_at: AT,
    finished_at,
    rerun_mode: null,
  };
  const fields = runFields({ status, finished_at });
  return runDetailSchema.parse({ ...fields, run_attempt, has_started_job_execution: jobs.length > 0, jobs });
}

/** A job with one execution and one step that ran, in the given state, sharing ids over calls with the same `seed`. */
export interface JobSeed {
  job: string;
  execution: string;
  step: string;
  attempt: string;
}

export function jobSeed(): JobSeed {
  return { job: newId(), execution: newId(), step: newId(), attempt: newId() };
}

export function jobInState(
  seed: JobSeed,
  status: "running" | "succeeded" | "failed" | "cancelled",
  key = "build",
): Job {
  const ended = status !== "running";
  const finished_at = ended ? "2026-07-06T10:00:04.000Z" : null;
  const exit_code = status === "succeeded" ? 0 : status === "failed" ? 3 : null;
  const attempts = [attempt({ id: seed.attempt, step_id: seed.step, status, exit_code, finished_at })];
  const steps = [step({ id: seed.step, key: "test", status, exit_code, attempts })];
  return job({
    id: seed.job,
    key,
    status,
    status_reason: status === "failed" ? "step_failed" : null,
    job_executions: [execution({ id: seed.execution, status, steps, finished_at })],
  });
}

export function output(data: string): LogRecord {
  return { v: 1, ts: 1_783_330_000_000, type: "output", stream: "stdout", data };
}

/** What a step said beside its log. */
export function annotation(overrides: Partial<Annotation> = {}): Annotation {
  return annotationSchema.parse({
    id: newId(),
    job_id: newId(),
    job_execution_id: newId(),
    origin_step_id: newId(),
    origin_step_attempt: 1,
    context: "default",
    style: "default",
    sequence: 1,
    body: "text",
    ...overrides,
  });
}
