import type { Generated } from "kysely";

/** The tables as the newest migration leaves them. Times are milliseconds since the epoch, booleans 0 or 1, JSON is text. */
export interface Schema {
  users: UserRow;
  refresh_sessions: RefreshSessionRow;
  instance: InstanceRow;
  server_settings: ServerSettingRow;
  workspaces: WorkspaceRow;
  memberships: MembershipRow;
  invitations: InvitationRow;
  connections: ConnectionRow;
  used_install_states: UsedInstallStateRow;
  registry_credentials: RegistryCredentialRow;
  agent_providers: AgentProviderRow;
  agent_defaults: AgentDefaultsRow;
  projects: ProjectRow;
  definition_syncs: DefinitionSyncRow;
  definitions: DefinitionRow;
  runs: RunRow;
  run_limits: RunLimitRow;
  run_attempts: RunAttemptRow;
  jobs: JobRow;
  job_executions: JobExecutionRow;
  listeners: ListenerRow;
  listener_subscriptions: ListenerSubscriptionRow;
  listener_events: ListenerEventRow;
  steps: StepRow;
  step_attempts: StepAttemptRow;
  provisioner_tokens: ProvisionerTokenRow;
  provisioner_pools: ProvisionerPoolRow;
  reservations: ReservationRow;
  runner_instances: RunnerInstanceRow;
  runner_instance_states: RunnerInstanceStateRow;
  label_sets: LabelSetRow;
  queue: QueueRow;
  leases: LeaseRow;
  registration_tokens: RegistrationTokenRow;
  runners: RunnerRow;
  retired_runner_credentials: RetiredRunnerCredentialRow;
  runner_sessions: RunnerSessionRow;
  log_streams: LogStreamRow;
  blobs: BlobRow;
  blob_usage: BlobUsageRow;
  annotations: AnnotationRow;
  trigger_events: TriggerEventRow;
  trigger_event_usage: TriggerEventUsageRow;
  trigger_subscriptions: TriggerSubscriptionRow;
  trigger_decisions: TriggerDecisionRow;
  repository_heads: RepositoryHeadsRow;
  webhooks: WebhookRow;
  webhook_deliveries: WebhookDeliveryRow;
  check_cursors: CheckCursorRow;
  check_runs: CheckRunRow;
  secrets: ScopedValueRow;
  variables: ScopedValueRow;
  run_events: RunEventRow;
  audit_events: AuditEventRow;
}

export interface UserRow {
  id: string;
  email: string;
  name: string | null;
  password_hash: string;
  status: string;
  admin_role: string | null;
  email_verified_at: number | null;
  created_at: number;
  updated_at: number;
}

export interface RefreshSessionRow {
  id: string;
  user_id: string;
  token_hash: string;
  previous_token_hash: string | null;
  rotated_at: number | null;
  expires_at: number;
  revoked_at: number | null;
  /** Of the sign-in. */
  ip: string | null;
  user_agent: string | null;
  created_at: number;
}

/** A code that was mailed to prove an address. */
export interface EmailChallengeRow {
  id: string;
  user_id: string;
  code_hash: string;
  sends: number;
  wrong_codes: number;
  /** Last. */
  sent_at: number;
  expires_at: number;
  consumed_at: number | null;
  created_at: number;
}

/** One row once the first account exists: whoever inserts it is the instance's owner. */
export interface InstanceRow {
  id: number;
  first_user_id: string;
  created_at: number;
}

/** What an administrator set while the server runs. `value` is JSON. */
export interface ServerSettingRow {
  name: string;
  value: string;
}

export interface WorkspaceRow {
  id: string;
  name: string;
  slug: string;
  status: string;
  last_event: number;
  created_at: number;
  updated_at: number;
}

export interface MembershipRow {
  id: string;
  user_id: string;
  workspace_id: string;
  role: string;
  created_at: number;
  updated_at: number;
}

export interface ConnectionRow {
  id: string;
  workspace_id: string;
  provider: string;
  external_account_id: string;
  slug: string;
  display_name: string;
  lifecycle_status: string;
  settings: string;
  sealed_credential: string | null;
  created_at: number;
  updated_at: number;
}

/** A state of an installation on GitHub that was used; kept until it would be too old anyway. */
export interface UsedInstallStateRow {
  nonce: string;
  expires_at: number;
}

export interface RegistryCredentialRow {
  id: string;
  workspace_id: string;
  host: string;
  username: string;
  sealed_password: string;
  /** JSON list of ids; null: every project of the workspace. */
  project_ids: string | null;
  created_at: number;
}

export interface AgentProviderRow {
  workspace_id: string;
  provider_id: string;
  /** `builtin` or `custom`. */
  kind: string;
  default_model: string | null;
  /** JSON of what a custom provider is; null for a built-in one. */
  settings: string | null;
  secret_header_names: string;
  sealed_secrets: string;
  fingerprints: string;
  created_at: number;
  updated_at: number;
}

export interface AgentDefaultsRow {
  workspace_id: string;
  provider_id: string | null;
  harness_id: string | null;
}

export interface ProjectRow {
  id: string;
  workspace_id: string;
  name: string;
  slug: string;
  connection_id: string;
  external_repository_id: string;
  default_branch: string;
  archived_at: number | null;
  /** 1: runs of strangers' code get the secrets that their workflows name. */
  untrusted_secrets: number;
  created_at: number;
  updated_at: number;
}

export interface DefinitionSyncRow {
  project_id: string;
  ref: string | null;
  status: string;
  requested_at: number;
  started_at: number | null;
  finished_at: number | null;
  last_sync_at: number | null;
  last_error_code: string | null;
  last_error_message: string | null;
  warnings: string;
  files: string;
}

export interface DefinitionRow {
  id: string;
  workspace_id: string;
  project_id: string;
  config_path: string | null;
  source: string;
  sha: string | null;
  ref: string | null;
  upsert_key: string | null;
  name: string;
  yaml: string;
  document: string;
  model: string;
  manual_trigger: string | null;
  /** The files that it calls, as JSON of a list of `{path, yaml}`; null without any. */
  called_files: string | null;
  last_run_number: number;
  fetched_at: number;
  deleted_at: number | null;
  created_at: number;
  updated_at: number;
}

export interface RunRow {
  id: string;
  workspace_id: string;
  project_id: string;
  definition_id: string;
  number: number;
  name: string;
  workflow_name: string;
  status: string;
  current_attempt: number;
  trigger_provider: string | null;
  trigger_source: string;
  trigger_event: string;
  trigger_payload: string;
  inputs: string | null;
  source_yaml: string;
  /** As `called_files` of the definition were when the run began. */
  called_files: string | null;
  created_at: number;
  updated_at: number;
  started_at: number | null;
  finished_at: number | null;
  /** Since when the run waits for a place in its workspace; null once it has one. */
  place_wanted_at: number | null;
  /** What of a repository started it, JSON. */
  trigger_reference: string | null;
  /** The commit that all its jobs check out; null for the newest of the default branch. */
  pinned_commit: string | null;
  /** Without a pinned one: what the first job checked out. */
  checked_out_commit: string | null;
  /** 1: somebody without rights to the repository may have made what it runs. */
  untrusted: number;
  /** How many runs in a row, each started by the end of the one before, led to it. */
  trigger_depth: number;
  /** The ref whose code it runs; null for the default branch. */
  ref: string | null;
  /** Since when it is gone for everybody, while the rest of it is being deleted. */
  removed_at: number | null;
}

/** A workspace's own limit; null for the server's. The row is also the lock under which places are given away. */
export interface RunLimitRow {
  workspace_id: string;
  max_concurrent_runs: number | null;
}

export interface RunAttemptRow {
  id: string;
  run_id: string;
  attempt: number;
  status: string;
  rerun_mode: string | null;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
}

export interface JobRow {
  id: string;
  workspace_id: string;
  project_id: string;
  run_id: string;
  run_attempt_id: string;
  key: string;
  name: string | null;
  position: number;
  status: string;
  status_reason: string | null;
  status_reason_message: string | null;
  /** As `stringifyValues` writes them; null without any. */
  outputs: string | null;
  needs: string;
  /** The key by which others need it: its own, or that of the job whose matrix it is of. */
  node: string;
  /** Where it is on its way: `blocked`, `ready`, `held`, `going` or `over`. */
  stage: string;
  /** Jobs it needs, those of a matrix each, that have not ended, and that ended without success. */
  open_needs: Generated<number>;
  spoilt_needs: Generated<number>;
  /** What its matrix says of it, as JSON; null for a job without one. */
  matrix: string | null;
  /** 0 or 1. */
  has_condition: number;
  labels: string;
  /** The group of which one job goes at a time, once the job has come to its turn; null for a job without one. */
  concurrency_group: string | null;
  model: string;
  /** The key of the call that it is part of; null for a job of the workflow itself. */
  within: string | null;
  /** The path of the workflow file that it calls; null for a job with steps. */
  calls: string | null;
  /** What a call that has started gave that workflow, as `stringifyValues` writes it. */
  inputs: string | null;
  /** The job of an earlier attempt that succeeded and whose result this one shows; null for a job that runs itself. */
  carried_from: string | null;
  /** Tries that its own `retry` has used up. */
  retries: Generated<number>;
  infrastructure_retries: number;
  created_at: number;
  updated_at: number;
}

export interface JobExecutionRow {
  id: string;
  workspace_id: string;
  project_id: string;
  run_id: string;
  run_attempt_id: string;
  job_id: string;
  sequence: number;
  retry_of: string | null;
  name: string;
  status: string;
  status_reason: string | null;
  status_reason_message: string | null;
  failure_cause: string | null;
  outputs: string | null;
  runner_id: string | null;
  queued_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  timed_out_at: number | null;
  due_at: number | null;
  /** Of a listening job: which of its firings it is, from 1; its retries are the same one. */
  firing: number | null;
  /** Of a listening job: what it runs with; its job's where null. */
  labels: string | null;
  model: string | null;
  created_at: number;
  updated_at: number;
}

/** What a listening job waits for, one row a job; `inactive` until the job starts. */
export interface ListenerRow {
  job_id: string;
  workspace_id: string;
  run_id: string;
  status: "inactive" | "listening" | "resolved";
  resolution_reason: "until" | "timeout" | "max_executions" | "cancelled" | null;
  /** What filters see beside the event, as `stringifyValues` writes it. */
  snapshot: string | null;
  /** Executions so far; a retry is none of its own. */
  firings: number;
  listening_since: number | null;
  expires_at: number | null;
  due_at: number | null;
}

/** One trigger of `on` or `until` of a job that listens now. */
export interface ListenerSubscriptionRow {
  id: string;
  job_id: string;
  workspace_id: string;
  source: string;
  event: string;
  matcher_kind: "on" | "until";
  matcher_ordinal: number;
  filter: string | null;
}

/** An event that a listening job has taken. */
export interface ListenerEventRow {
  job_id: string;
  event_id: string;
  /** The execution that got it; null while it waits. */
  firing: number | null;
  received_at: number;
  taken_at: number;
  /** Of `data`. */
  bytes: number;
  /** What is told of it beside `data`, as JSON. */
  facts: string;
  data: string;
}

export interface StepRow {
  id: string;
  job_execution_id: string;
  key: string | null;
  name: string;
  position: number;
  type: string;
  status: string;
  status_reason: string | null;
  config: string;
  source_location: string | null;
  error: string | null;
  current_attempt: number;
  exit_code: number | null;
  output: string | null;
  created_at: number;
  updated_at: number;
}

export interface StepAttemptRow {
  id: string;
  job_execution_id: string;
  step_id: string;
  attempt: number;
  execution_order: number;
  status: string;
  exit_code: number | null;
  output: string | null;
  /** In their declared types, as `stringifyValues` writes them; null when `output` is all there is. */
  outputs: string | null;
  error: string | null;
  gate_result: string | null;
  restart_feedback: string | null;
  log_outcome: string | null;
  started_at: number;
  finished_at: number | null;
}

export interface ProvisionerPoolRow {
  provisioner_id: string;
  workspace_id: string;
  /** Of the daemon that speaks for the provisioner until `held_until`. */
  holder_id: string | null;
  holder_host: string | null;
  held_until: number | null;
  /** JSON of what the last demand poll said. */
  templates: string;
  advertised_at: number;
}

export interface ReservationRow {
  id: string;
  workspace_id: string;
  provisioner_id: string;
  label_set_id: string;
  labels: string;
  capabilities: string;
  /** Instances that have not been made yet. */
  count: number;
  expires_at: number;
}

export interface RunnerInstanceRow {
  id: string;
  workspace_id: string;
  provisioner_id: string;
  template_key: string;
  provider_kind: string | null;
  provider_runner_id: string | null;
  labels: string;
  capabilities: string;
  /** Of the jobs it was made for; null for one of an idle pool. */
  label_set_id: string | null;
  state: string;
  reason: string | null;
  console_tail: string | null;
  /** Why it is to be removed; null while it is wanted. */
  terminate_reason: string | null;
  token_hash: string;
  token_prefix: string;
  /** The Idempotency-Key with which it registered. */
  register_key: string | null;
  runner_id: string | null;
  session_id: string | null;
  /** Until when it must have registered; null once it has, or has ended. */
  due_at: number | null;
  reported_at: number | null;
  registered_at: number | null;
  created_at: number;
  ended_at: number | null;
}

export interface RunnerInstanceStateRow {
  runner_instance_id: string;
  number: number;
  state: string;
  reason: string | null;
  at: number;
}

export interface ProvisionerTokenRow {
  id: string;
  workspace_id: string;
  name: string | null;
  prefix: string;
  token_hash: string;
  expires_at: number | null;
  revoked_at: number | null;
  created_by_user_id: string;
  revoked_by_user_id: string | null;
  /** When a provisioner last called with it. */
  last_seen_at: number | null;
  created_at: number;
  updated_at: number;
}

export interface LabelSetRow {
  id: string;
  workspace_id: string;
  labels: string;
  capabilities: string;
  last_used_at: number;
}

export interface QueueRow {
  number: Generated<number>;
  job_execution_id: string;
  workspace_id: string;
  project_id: string;
  label_set_id: string;
  priority: number;
  avoided_session_id: string | null;
  avoided_until: number | null;
  queued_at: number;
}

export interface LeaseRow {
  fence: Generated<number>;
  job_execution_id: string;
  job_id: string;
  run_id: string;
  run_attempt_id: string;
  workspace_id: string;
  project_id: string;
  runner_id: string;
  session_id: string;
  claim_key: string | null;
  state: string;
  end_reason: string | null;
  claimed_at: number;
  first_heartbeat_at: number | null;
  ended_at: number | null;
  late_call_at: number | null;
  due_at: number | null;
}

export interface RegistrationTokenRow {
  id: string;
  workspace_id: string;
  name: string | null;
  prefix: string;
  token_hash: string;
  max_uses: number | null;
  uses: number;
  expires_at: number | null;
  revoked_at: number | null;
  created_by: string;
  created_at: number;
  updated_at: number;
}

export interface RunnerRow {
  id: string;
  workspace_id: string;
  registration_token_id: string | null;
  name: string;
  labels: string;
  capabilities: string;
  version: string | null;
  persistent: number;
  credential_hash: string | null;
  previous_credential_hash: string | null;
  created_at: number;
  last_seen_at: number | null;
  drain_requested_at: number | null;
  revoked_at: number | null;
}

export interface RetiredRunnerCredentialRow {
  token_hash: string;
  runner_id: string;
  retired_at: number;
}

export interface RunnerSessionRow {
  id: string;
  runner_id: string;
  workspace_id: string;
  mode: string;
  labels: string;
  capabilities: string;
  max_claims: number | null;
  claims_used: number;
  created_at: number;
  last_seen_at: number;
  ended_at: number | null;
  end_reason: string | null;
  unhealthy_since: number | null;
  unhealthy_reason: string | null;
}

export interface LogStreamRow {
  step_id: string;
  attempt: number;
  workspace_id: string;
  run_id: string;
  job_execution_id: string;
  state: string;
  length: number | null;
  truncated: number;
  capped: number;
  opened_at: number;
  closed_at: number | null;
  due_at: number | null;
}

export interface AnnotationRow {
  id: string;
  run_id: string;
  run_attempt: number;
  job_id: string;
  job_execution_id: string;
  step_id: string;
  step_attempt: number;
  context: string;
  style: string;
  sequence: number;
  body: string;
  body_bytes: number;
}

/** What came in. `event_ref` makes a repeat the same event; `due_at` is when it must be looked at again. */
export interface TriggerEventRow {
  id: string;
  workspace_id: string;
  origin: string;
  event_ref: string;
  provider: string | null;
  source: string;
  event: string;
  delivery_id: string | null;
  connection_id: string | null;
  untrusted: number;
  payload: string | null;
  payload_bytes: number;
  outcome: string;
  matched_count: number;
  received_at: number;
  processed_at: number | null;
  due_at: number | null;
  created_at: number;
  /** How often it was routed, this time included: a replay is a pass of its own. */
  pass: number;
  /** What of a repository it is about, JSON. */
  reference: string | null;
  /** That repository, as its connection names it. */
  repository_id: string | null;
  /** What in the repository changes over several events, as a pull request; `subject_at` is when it last did, `head_commit` its newest commit then. */
  subject: string | null;
  subject_at: number | null;
  head_commit: string | null;
  /** Null for an event that needs none. */
  approval: string | null;
  /** Of the workflows that the approval is for. */
  workflows_hash: string | null;
  approved_by: string | null;
  approved_at: number | null;
}

/** A trigger of a definition, other than the manual one. `schedule`, `timezone` and `next_fire_at` are those of a cron trigger. */
export interface TriggerSubscriptionRow {
  id: string;
  workspace_id: string;
  project_id: string;
  definition_id: string;
  trigger_key: string;
  source: string;
  event: string;
  filter: string | null;
  /** `with` of the trigger, JSON. */
  inputs: string | null;
  /** Whose runs it waits for: a workflow of its project, by name or path; null for other sources. */
  workflow: string | null;
  schedule: string | null;
  timezone: string | null;
  next_fire_at: number | null;
  updated_at: number;
}

/** Where the branches of a project's repository were at the last look: JSON, null before the first. */
export interface RepositoryHeadsRow {
  project_id: string;
  heads: string | null;
  looked_at: number;
  /** Looks that failed since the last one that did not. */
  failures: number;
  due_at: number | null;
}

/** What a subscription made of an event, in one pass over it. */
export interface TriggerDecisionRow {
  id: string;
  event_id: string;
  pass: number;
  subscription_kind: string;
  subscription_id: string;
  subscription_name: string;
  definition_id: string | null;
  project_id: string | null;
  decision: string;
  run_id: string | null;
  reason: string | null;
  created_at: number;
  /** Of a listener: the run and the job that listen, and which of their triggers it was. */
  workflow_run_id: string | null;
  job_id: string | null;
  matcher_kind: string | null;
  matcher_ordinal: number | null;
}

/** The trigger events that a workspace has, counted by those who store and delete them. */
export interface TriggerEventUsageRow {
  workspace_id: string;
  events: number;
  bytes: number;
}

/** An outgoing webhook. `last_event` is the number of the run event up to which its deliveries were written. */
export interface WebhookRow {
  id: string;
  workspace_id: string;
  name: string | null;
  url: string;
  events: string;
  status: string;
  disabled_reason: string | null;
  sealed_secrets: string;
  last_event: number;
  failing_since: number | null;
  created_by: string;
  created_at: number;
  updated_at: number;
}

/** One run event for one webhook. `due_at` is the next attempt, or when one that is under way counts as lost. */
export interface WebhookDeliveryRow {
  id: string;
  webhook_id: string;
  event_id: number | null;
  event_type: string;
  body: string;
  status: string;
  attempts: number;
  due_at: number | null;
  last_attempt_at: number | null;
  response_status: number | null;
  response_excerpt: string | null;
  duration_ms: number | null;
  error: string | null;
  created_at: number;
  finished_at: number | null;
}

/** How far the run events of a workspace with a GitHub connection were looked at for check runs. */
export interface CheckCursorRow {
  workspace_id: string;
  last_event: number;
}

/** A job as GitHub shows it. `check_run_id` is GitHub's number for it, `sent_state` what was sent last. */
export interface CheckRunRow {
  job_id: string;
  connection_id: string;
  external_repository_id: string;
  check_run_id: number | null;
  sent_state: string | null;
  attempts: number;
  due_at: number | null;
  last_error: string | null;
}

/** Of a workspace, or of one project of it: `scope_id` is the project's id, else the workspace's. `value` of a secret is sealed. */
export interface ScopedValueRow {
  workspace_id: string;
  scope_id: string;
  key: string;
  project_id: string | null;
  value: string;
  last_edited_by: string | null;
  created_at: number;
  updated_at: number;
}

/** `abilities` is a list as JSON. */
export interface AccessTokenRow {
  id: string;
  user_id: string;
  workspace_id: string;
  name: string;
  prefix: string;
  token_hash: string;
  abilities: string;
  expires_at: number | null;
  last_used_at: number | null;
  revoked_at: number | null;
  created_at: number;
}

/** A mail that still has to be sent. `sealed_letter` is what it says and to whom, as it holds codes and links. */
export interface MailRow {
  id: string;
  sealed_letter: string;
  attempts: number;
  due_at: number;
  expires_at: number;
  last_error: string | null;
  created_at: number;
}

/** Made by a sign-in (`refresh_session_id`) or by a personal access token (`access_token_id`). */
export interface StreamTicketRow {
  ticket_hash: string;
  user_id: string;
  refresh_session_id: string | null;
  access_token_id: string | null;
  workspace_id: string | null;
  path: string;
  expires_at: number;
}

export interface InvitationRow {
  id: string;
  workspace_id: string;
  email: string;
  role: string;
  token_hash: string;
  invited_by: string;
  expires_at: number;
  accepted_at: number | null;
  created_at: number;
  updated_at: number;
}

export interface AuditEventRow {
  id: string;
  workspace_id: string | null;
  actor_type: "user" | "access_token" | "runner" | "anonymous";
  actor_user_id: string | null;
  actor_token_id: string | null;
  action: string;
  outcome: "done" | "denied" | "failed";
  target_type: string;
  target_id: string | null;
  target_name: string | null;
  ip: string;
  user_agent: string | null;
  request_id: string;
  details: string;
  created_at: number;
}

export interface RunEventRow {
  workspace_id: string;
  id: number;
  type: string;
  run_id: string | null;
  project_id: string | null;
  job_id: string | null;
  execution_id: string | null;
  step_id: string | null;
  payload: string;
  created_at: number;
}

/** A file of an artifact or a cache; see the migration. `name` is the artifact's name or the cache's key, `due_at` when something is to be done: a partial or expired one dropped, the file of a dropped one removed. */
export interface BlobRow {
  id: string;
  kind: "artifact" | "cache";
  workspace_id: string;
  project_id: string;
  run_id: string;
  job_id: string;
  job_execution_id: string;
  name: string;
  ref: string;
  untrusted: number;
  size: number;
  sha256: string;
  state: "partial" | "whole" | "dropped";
  /** How long an artifact is kept once it is whole, milliseconds. */
  kept_ms: number | null;
  due_at: number | null;
  used_at: number | null;
  created_at: number;
}

/** Bytes of all blobs of a workspace that are not dropped, by their kind. */
export interface BlobUsageRow {
  workspace_id: string;
  artifact_bytes: number;
  cache_bytes: number;
}
