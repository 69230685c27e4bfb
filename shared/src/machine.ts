import { z } from "zod";
import { annotationContext, annotationStyleSchema } from "./api/annotations.ts";
import { releaseReasonSchema } from "./failure.ts";
import { id, labels, timestamp } from "./api/values.ts";
import { jobStatusSchema, sourceLocationSchema, stepErrorSchema, stepTypeSchema } from "./api/runs.ts";

/** The runner's side of the wire. Fields marked "ours" are optional for the client; without them the upstream runner works unmodified. */

export const MAX_CLAIM_WAIT_SECONDS = 50;
export const MAX_HEARTBEAT_WAIT_SECONDS = 8;
export const MAX_LOG_APPEND_BYTES = 8 * 1024 * 1024;
export const RUNNER_VERSION_HEADER = "shipfox-runner-version";
export const IDEMPOTENCY_KEY_HEADER = "idempotency-key";
const MAX_TOOLS = 100;
const MAX_RUNNER_NAME_CHARS = 128;
const MAX_IDEMPOTENCY_KEY_CHARS = 256;
const MAX_ATTEMPT = 2_147_483_647;
const MAX_RESPONSE_CHARS = 8192;
export const MAX_HEALTH_REASON_CHARS = 2048;
export const MAX_ANNOTATIONS_BODY_BYTES = 1024 * 1024;
const MAX_ANNOTATION_OPERATIONS = 512;

const harness = z.strictObject({ tools: z.array(z.string().min(1).max(100)).max(MAX_TOOLS) });
/** What a runner can do. `harnesses` is upstream's; `sandbox`, `image`, `services`, `network` and `files` are ours and used for matching. */
export const capabilitiesSchema = z.strictObject({
  harnesses: z.strictObject({ pi: harness.optional(), claude: harness.optional() }).optional(),
  sandbox: z.enum(["docker", "host"]).optional(),
  image: z.boolean().optional(),
  services: z.boolean().optional(),
  network: z.boolean().optional(),
  /** Artifacts and caches. */
  files: z.boolean().optional(),
});
export type Capabilities = z.infer<typeof capabilitiesSchema>;

/** ours: `persistent` and `name` make the runner a thing with a credential of its own. */
export const registerBodySchema = z.object({
  labels: labels.optional(),
  capabilities: capabilitiesSchema.optional(),
  persistent: z.boolean().default(false),
  name: z.string().trim().min(1).max(MAX_RUNNER_NAME_CHARS).optional(),
});
export const registerReplySchema = z.object({
  session_token: z.string(),
  session_id: id,
  mode: z.enum(["manual", "ephemeral", "activation"]),
  max_claims: z.int().min(1).nullable(),
  /** ours, as all that follows. */
  runner_id: id.optional(),
  runner_token: z.string().optional(),
  /** Versions (`major.minor`) of runners that this server serves, and what is wrong with this one's. */
  version: z
    .object({ server: z.string(), oldest: z.string(), newest: z.string(), warning: z.string().optional() })
    .optional(),
});
export type RegisterReply = z.infer<typeof registerReplySchema>;

/** ours: who a registration token or a runner's credential is good for, without using it. */
export const credentialReplySchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("registration_token"), workspace_id: id, expires_at: timestamp.nullable() }),
  z.object({ kind: z.literal("runner"), workspace_id: id, runner_id: id, name: z.string() }),
]);
export type CredentialReply = z.infer<typeof credentialReplySchema>;

/** ours: changes an open session without ending the leases of its jobs. */
export const changeSessionBodySchema = z.strictObject({ labels });

export const idempotencyKeySchema = z.string().min(1).max(MAX_IDEMPOTENCY_KEY_CHARS);

export const pullPolicySchema = z.enum(["always", "if-not-present", "never"]);
export type PullPolicy = z.infer<typeof pullPolicySchema>;

/** ours: a container beside the steps of a job, which they reach under its name. */
const serviceConfigSchema = z.object({
  name: z.string(),
  image: z.string(),
  /** Absent: the runner's own policy. */
  pull: pullPolicySchema.optional(),
  env: z.record(z.string(), z.string()).optional(),
  /** Replaces the command of the image; its entrypoint stays. */
  command: z.array(z.string()).optional(),
  /** Ports that must accept connections before the steps start. */
  ports: z.array(z.int()).optional(),
  /** Absent: the check of the image, when it has one. */
  health: z
    .object({
      /** Shell text, or a program and its arguments. */
      cmd: z.union([z.string(), z.array(z.string())]),
      interval_ms: z.int().optional(),
      timeout_ms: z.int().optional(),
      retries: z.int().optional(),
      start_period_ms: z.int().optional(),
    })
    .optional(),
});
export type ServiceConfig = z.infer<typeof serviceConfigSchema>;

/** Configuration of a step, resolved by the server. */
export const setupConfigSchema = z.object({
  checkout: z
    .object({
      permissions: z.object({ contents: z.enum(["read", "write"]) }),
      persist_credentials: z.boolean(),
      /** ours: commits of history, 0 is all; for the reader, the runner is told with the credential. */
      fetch_depth: z.int().min(0).optional(),
      /** ours: fetch the submodules too, those of submodules as well when recursive. */
      submodules: z.enum(["direct", "recursive"]).optional(),
      /** ours: replace pointers of Git LFS by the files. */
      lfs: z.boolean().optional(),
    })
    .optional(),
  /** ours: the image the whole job runs in; absent means the runner's default. */
  image: z.string().optional(),
  /** ours: when that image is pulled; absent means the runner's policy. */
  pull: pullPolicySchema.optional(),
  /** ours: started before the first step that is not the setup step. */
  services: z.array(serviceConfigSchema).optional(),
  /** ours: the job wants no network; absent means what the runner gives its jobs. */
  network: z.literal("none").optional(),
  /** ours: found after the checkout, saved when the job has succeeded; paths are relative to the workspace. */
  caches: z
    .array(
      z.object({
        key: z.string(),
        /** A digest of these files is put behind the key. */
        hash_files: z.array(z.string()).optional(),
        paths: z.array(z.string()),
        restore_keys: z.array(z.string()),
      }),
    )
    .optional(),
  /** ours: what the job leaves when it ends. */
  uploads: z
    .array(
      z.object({
        name: z.string(),
        paths: z.array(z.string()),
        /** Seconds; absent: the server's setting. */
        expires_in: z.int().min(1).optional(),
        if_missing: z.enum(["fail", "ignore"]),
        when: z.enum(["success", "always"]),
      }),
    )
    .optional(),
  /** ours: what it gets of jobs that it needs, unpacked into a folder. */
  downloads: z.array(z.object({ job: z.string(), name: z.string(), path: z.string() })).optional(),
  /** ours: the first step checks out, so caches and downloads come after it. */
  files_after_checkout: z.literal(true).optional(),
});
/** Of a checkout step. Empty texts are as good as absent ones in `ref` and `path`. */
export const checkoutConfigSchema = z.object({
  checkout: z.object({
    /** Commits of history; 0 is all of it. */
    fetch_depth: z.int().min(0),
    permissions: z.object({ contents: z.enum(["read", "write"]) }),
    persist_credentials: z.boolean(),
    force: z.boolean().optional(),
    project: z.string().optional(),
    connection: z.string().optional(),
    repository: z.string().optional(),
    ref: z.string().optional(),
    /** Relative to the workspace. */
    path: z.string().optional(),
  }),
});
export type CheckoutConfig = z.infer<typeof checkoutConfigSchema>;
/** A variable whose value holds secrets: its pieces in order. The values come from the step's own `secrets` route. */
export const secretBindingSchema = z.object({
  target: z.string(),
  segments: z.array(
    z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("literal"), value: z.string() }),
      z.object({ kind: z.literal("secret"), store: z.literal("local"), key: z.string() }),
    ]),
  ),
});
export const secretBindingsSchema = z.array(secretBindingSchema);
export type SecretBinding = z.infer<typeof secretBindingSchema>;
export const runConfigSchema = z.object({
  run: z.string(),
  env: z.record(z.string(), z.string()).optional(),
  secret_bindings: secretBindingsSchema.optional(),
  working_directory: z.string().optional(),
  /** ours: how long the step may run, in milliseconds. */
  timeout_ms: z.int().min(1).optional(),
});
export type SetupConfig = z.infer<typeof setupConfigSchema>;
export type RunConfig = z.infer<typeof runConfigSchema>;

export const leasedStepSchema = z.object({
  id,
  job_execution_id: id,
  key: z.string().nullable(),
  name: z.string(),
  source_location: sourceLocationSchema,
  status: jobStatusSchema,
  status_reason: z.string().nullable(),
  type: stepTypeSchema,
  config: z.record(z.string(), z.json()),
  evaluation_trace: z.null(),
  error: stepErrorSchema.nullable(),
  position: z.int(),
  current_attempt: z.int(),
  created_at: timestamp,
  updated_at: timestamp,
});
export type LeasedStep = z.infer<typeof leasedStepSchema>;

export const nextStepReplySchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("step"),
    step: leasedStepSchema,
    attempt: z.int().min(1),
    lease_token: z.string(),
    /** ours: whether the job is over when the step ends so; the runner then cleans up as part of the step. */
    last: z.object({ succeeded: z.boolean(), failed: z.boolean() }).optional(),
    /** ours: the W3C trace context of this attempt of the step, where runs are traced; its commands get it as TRACEPARENT. */
    traceparent: z.string().optional(),
  }),
  z.object({ kind: z.literal("done"), status: z.enum(["succeeded", "failed"]) }),
]);
export type NextStepReply = z.infer<typeof nextStepReplySchema>;

export const claimQuerySchema = z.object({
  wait_seconds: z.coerce.number().int().min(0).max(MAX_CLAIM_WAIT_SECONDS).default(0),
  /** ours: the reply of the claim carries the first step. */
  next: z.enum(["true", "false"]).default("false"),
});
export const claimReplySchema = z.object({
  workflow_run_id: id,
  workflow_run_attempt_id: id,
  job_id: id,
  job_execution_id: id,
  lease_token: z.string(),
  next: nextStepReplySchema.optional(),
  /** ours: who the job is for, for logs and the SHIPFOX_* variables of its steps. */
  job: z
    .object({
      workspace_id: id,
      project_id: id,
      project_name: z.string(),
      workflow_name: z.string(),
      run_number: z.int(),
      run_attempt: z.int(),
      job_key: z.string(),
      execution_sequence: z.int(),
    })
    .optional(),
  /** ours: the terms of the lease, in milliseconds. */
  lease: z.object({ fence: z.int(), term_ms: z.int(), heartbeat_interval_ms: z.int() }).optional(),
});
export type ClaimReply = z.infer<typeof claimReplySchema>;

export const heartbeatQuerySchema = z.object({
  wait_seconds: z.coerce.number().int().min(0).max(MAX_HEARTBEAT_WAIT_SECONDS).default(0),
  /** ours: the client knows of the cancel and is stopping the job: the answer waits for `force`. */
  cancelling: z.enum(["true", "false"]).default("false"),
});
export const heartbeatBodySchema = z.strictObject({ capabilities: capabilitiesSchema.optional() }).nullish();
/**
 * ours: `drain`: finish what you have, claim nothing more; `force`, with `cancel`: kill without grace, the lease has ended.
 */
export const heartbeatReplySchema = z.object({
  cancel: z.boolean(),
  lease_token: z.string(),
  drain: z.boolean(),
  force: z.literal(true).optional(),
});

const checkoutResultSchema = z.object({
  repository: z.string().min(1),
  ref: z.string().min(1),
  commit: z.string().min(1),
  path: z.string().min(1),
});
export const reportBodySchema = z
  .object({
    status: z.enum(["succeeded", "failed"]),
    log_outcome: z.enum(["drained", "abandoned"]),
    attempt: z.int().min(1).max(MAX_ATTEMPT).optional(),
    exit_code: z.int().nullable().optional(),
    error: stepErrorSchema.nullish(),
    output: z.record(z.string(), z.json()).nullish(),
    checkout: checkoutResultSchema.optional(),
    response: z.string().max(MAX_RESPONSE_CHARS).optional(),
    /** ours: the reply carries the next step, as steps/next would answer. */
    next: z.boolean().optional(),
  })
  .refine((body) => (body.status === "failed") === (body.error != null), {
    path: ["error"],
    message: "a failed report needs an error, a succeeded one must not have any",
  });
export const reportReplySchema = z.object({
  ok: z.literal(true),
  cancel: z.boolean(),
  next: nextStepReplySchema.optional(),
});
export type ReportBody = z.input<typeof reportBodySchema>;
export type ReportReply = z.infer<typeof reportReplySchema>;

export const attemptQuerySchema = z.object({ attempt: z.coerce.number().int().min(1).max(MAX_ATTEMPT) });
export const checkoutTokenReplySchema = z.object({
  repository_url: z.string(),
  ref: z.string(),
  fetch_depth: z.int().min(0),
  /** Who commits in the workspace, for a credential that may write. */
  git_author: z.object({ name: z.string(), email: z.string() }).optional(),
  auth: z
    .object({
      kind: z.literal("basic"),
      username: z.string(),
      token: z.string(),
      expires_at: timestamp,
      carry: z.enum(["header", "userinfo"]),
      host: z.string(),
      persist: z.boolean(),
    })
    .optional(),
  /** ours: an OpenSSH private key for ssh URLs, used for this one fetch and never persisted. */
  ssh_key: z.string().optional(),
});
export type CheckoutToken = z.infer<typeof checkoutTokenReplySchema>;

/** ours: what is needed to ask an image's registry for it, for an image that the leased job names. */
export const registryCredentialQuerySchema = z.object({ image: z.string().min(1).max(512) });
export const registryCredentialReplySchema = z.object({
  credential: z.object({ username: z.string(), password: z.string() }).nullable(),
});
export type RegistryCredential = NonNullable<z.infer<typeof registryCredentialReplySchema>["credential"]>;

export const stepSecretsReplySchema = z.object({
  secrets: z.array(z.object({ store: z.literal("local"), key: z.string(), value: z.string() })),
});
export type StepSecrets = z.infer<typeof stepSecretsReplySchema>;

export const logAppendQuerySchema = z.object({
  attempt: z.coerce.number().int().min(1).max(MAX_ATTEMPT),
  offset: z.coerce.number().int().min(0),
  /** ours: the reply says what is left of the job's budget. */
  budget: z.enum(["true", "false"]).default("false"),
});
export const logAppendReplySchema = z.object({
  committed_length: z.int().min(0),
  capped: z.boolean(),
  /** ours, when asked for: how many bytes more the logs of this job execution may take at the moment. */
  budget_bytes: z.int().min(0).optional(),
});
export type LogAppendReply = z.infer<typeof logAppendReplySchema>;

const annotationText = { context: annotationContext, style: annotationStyleSchema.optional(), body: z.string() };
/** Without a style a new annotation is `default` and one that is appended to keeps its own. */
const annotationOperationSchema = z.discriminatedUnion("op", [
  z.object({ ...annotationText, op: z.literal("replace") }),
  z.object({ ...annotationText, op: z.literal("append") }),
  z.object({
    context: annotationContext,
    style: annotationStyleSchema.optional(),
    body: z.undefined("a removal has no body").optional(),
    op: z.literal("remove"),
  }),
]);
export type AnnotationOperation = z.output<typeof annotationOperationSchema>;
export const annotationsBodySchema = z.object({
  step_id: id,
  attempt: z.int().min(1).max(MAX_ATTEMPT),
  annotations: z.array(z.preprocess(replaceByDefault, annotationOperationSchema)).max(MAX_ANNOTATION_OPERATIONS),
});
/** `id` is null for what was removed, or is not kept. `accounting` is of the whole job execution. */
export const annotationsReplySchema = z.object({
  annotations: z.array(z.object({ context: z.string(), id: id.nullable() })),
  accounting: z.object({ annotation_count: z.int().min(0), total_body_bytes: z.int().min(0) }),
});

function replaceByDefault(value: unknown): unknown {
  return typeof value === "object" && value !== null && !("op" in value) ? { ...value, op: "replace" } : value;
}

export const releaseBodySchema = z.strictObject({
  reason: releaseReasonSchema,
  message: z.string().max(2048).optional(),
});

/** ours: whether the runner can run jobs; while it cannot, it claims none and says so again at least once a minute. */
export const healthBodySchema = z.strictObject({
  state: z.enum(["healthy", "unhealthy"]),
  reason: z.string().trim().min(1).max(MAX_HEALTH_REASON_CHARS).optional(),
});
export type HealthBody = z.infer<typeof healthBodySchema>;

/** Why a lease is not the live one any more: `details.reason` of the 404 answers. */
export const LEASE_END_REASONS = ["finished", "released", "cancelled", "expired", "superseded", "revoked"] as const;
export type LeaseEndReason = (typeof LEASE_END_REASONS)[number];
