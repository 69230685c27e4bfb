import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import {
  attemptQuerySchema,
  changeSessionBodySchema,
  checkoutTokenReplySchema,
  claimQuerySchema,
  claimReplySchema,
  credentialReplySchema,
  heartbeatBodySchema,
  heartbeatQuerySchema,
  heartbeatReplySchema,
  healthBodySchema,
  IDEMPOTENCY_KEY_HEADER,
  idempotencyKeySchema,
  logAppendQuerySchema,
  logAppendReplySchema,
  MAX_LOG_APPEND_BYTES,
  nextStepReplySchema,
  registerBodySchema,
  registerReplySchema,
  releaseBodySchema,
  reportBodySchema,
  reportReplySchema,
  RUNNER_VERSION_HEADER,
  type CheckoutConfig,
  type CheckoutToken,
  type ClaimReply,
  type NextStepReply,
  type SetupConfig,
} from "@shipfox/shared/machine";
import { z } from "zod";
import { stranger } from "../../http/origin.ts";
import { route, type LeasePrincipal, type RequestFacts, type Route } from "../../http/route.ts";
import type { SignedTokens } from "../../http/signed-tokens.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store, Tx } from "../../store/store.ts";
import {
  claim,
  endRunnerLeases,
  heartbeat,
  leaseGone,
  openSession,
  recordLateCalls,
  releaseLease,
  requireStanding,
  type Claim,
  type Dispatch,
} from "../dispatch/public.ts";
import type { Logs } from "../logs/public.ts";
import { checkedOutCommit, isUntrusted, nextStep, reportStep, type NextStepResult } from "../runs/public.ts";
import { reportHealth } from "./health.ts";
import { createAgentRoutes } from "./agent-routes.ts";
import { relabelSession } from "./change-session.ts";
import { requireLeasedStep } from "./leased-step.ts";
import {
  confirmCredential,
  describeCredential,
  endSessions,
  freshIdentity,
  type InstancesPort,
  register,
  ReusedToken,
} from "./register.ts";
import { MAX_EXECUTION_MS, type RunnerSettings } from "./settings.ts";
import { createStepSecretsRoute, type SecretsPort } from "./step-secrets-route.ts";
import { judgeVersion, versionWindow } from "./version-window.ts";

/** Where a job's code comes from; implemented above, by the integrations. */
export interface CheckoutPort {
  /** Everything a runner needs for one fetch of a repository; `isOwn` when it is that of the job's project. */
  checkout(request: {
    workspaceId: string;
    projectId: string;
    target: CheckoutTarget;
    access: { contents: "read" | "write" };
    untrusted: boolean;
  }): Promise<CheckoutToken & { isOwn: boolean }>;
}

type CheckoutTarget = Pick<CheckoutConfig["checkout"], "project" | "connection" | "repository">;

export interface MachineRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly tokens: SignedTokens;
  readonly dispatch: Dispatch;
  readonly logs: Logs;
  readonly checkout: CheckoutPort;
  readonly secrets: SecretsPort;
  readonly instances: InstancesPort;
  readonly settings: RunnerSettings;
  /** The trace context of an attempt of a step; left out where runs are not traced. */
  readonly traceparentOf?: (step: { runAttemptId: string; stepId: string; attempt: number }) => string;
}

const NO_STORE = { "cache-control": "no-store" };
const VERSION_CHARS = 64;
/** Forgetting one costs a look at the store. */
const MAX_CONFIRMED_SESSIONS = 50_000;
const jobParams = z.object({ jobId: id });
const stepParams = z.object({ stepId: id });

/** The machine protocol: what runners call. Source: the protocol sheet, 2.6 to 2.12, and our additions. */
export function createMachineRoutes(deps: MachineRoutesDeps): Route[] {
  const { store, clock, tokens, dispatch, logs, settings, instances } = deps;
  const leaseSeconds = Math.ceil((MAX_EXECUTION_MS + settings.outageLimitMs) / 1000);
  /** Sessions whose runner has proved that it holds its newest credential. */
  const confirmed = new Set<string>();

  const signed = (principal: LeasePrincipal, next: NextStepResult): NextStepReply =>
    next.kind === "done"
      ? next
      : {
          ...next,
          lease_token: tokens.signLease(
            { ...principal, stepId: next.step.id, stepAttempt: next.attempt },
            leaseSeconds,
          ),
          ...(deps.traceparentOf
            ? {
                traceparent: deps.traceparentOf({
                  runAttemptId: principal.runAttemptId,
                  stepId: next.step.id,
                  attempt: next.attempt,
                }),
              }
            : {}),
        };

  const confirm = async (sessionId: string) => {
    if (confirmed.has(sessionId)) return;
    if (confirmed.size >= MAX_CONFIRMED_SESSIONS) confirmed.clear();
    const now = clock.now();
    await store.write(async (tx) => {
      const session = await tx.get<{ runner_id: string }>(
        "select runner_id from runner_sessions where id = ? and ended_at is null",
        [sessionId],
      );
      if (session) await confirmCredential(tx, session.runner_id, now);
    });
    confirmed.add(sessionId);
  };

  /** A token of an instance that comes again is written down: it was meant for one machine. */
  const refuse = async (error: unknown, request: RequestFacts): Promise<never> => {
    if (!(error instanceof ReusedToken)) throw error;
    const { workspaceId, instanceId, error: refusal } = error.refusal;
    await store.write((tx) =>
      tx.audit(stranger(request), {
        workspaceId,
        action: "runner_instance.registered",
        target: { type: "runner_instance", id: instanceId },
        outcome: "denied",
      }),
    );
    throw refusal;
  };

  return recordLateCalls(dispatch, [
    route({
      method: "POST",
      path: "/runners/register",
      tag: "Machine: runners",
      summary: "Open a runner session",
      credential: "registration",
      body: registerBodySchema,
      responses: { 200: registerReplySchema },
      errors: [
        "registration-token-expired",
        "manual-registration-token-revoked",
        "registration-token-exhausted",
        "registration-token-used",
        "provisioner-token-revoked",
        "labels-not-granted",
        "runner-revoked",
        "empty-runner-labels",
        "runner-credential-reused",
        "runner-version-unsupported",
      ],
      handle: async ({ principal, body, request }) => {
        const now = clock.now();
        const warning = requireSupportedVersion(settings.version, request);
        const fresh = freshIdentity(now);
        const registration = {
          token: principal.token,
          labels: body.labels ?? null,
          capabilities: body.capabilities ?? {},
          persistent: body.persistent,
          name: body.name ?? null,
          version: versionOf(request),
          key: idempotencyKey(request),
        };
        const registered = await store
          .write((tx) => register(tx, { dispatch, instances }, registration, fresh, now))
          .catch((error: unknown) => refuse(error, request));
        const token = tokens.signSession({
          sessionId: registered.sessionId,
          workspaceId: registered.workspaceId,
          labels: registered.labels,
          maxClaims: registered.maxClaims,
        });
        return {
          status: 200,
          headers: NO_STORE,
          body: {
            session_token: token,
            session_id: registered.sessionId,
            mode: registered.mode,
            max_claims: registered.maxClaims,
            runner_id: registered.runnerId,
            ...(registered.runnerToken === null ? {} : { runner_token: registered.runnerToken }),
            version: {
              server: settings.version,
              ...versionWindow(settings.version),
              ...(warning === null ? {} : { warning }),
            },
          },
        };
      },
    }),
    route({
      method: "GET",
      path: "/runners/credential",
      tag: "Machine: runners",
      summary: "Who the token is good for; it is not used up",
      credential: "registration",
      responses: { 200: credentialReplySchema },
      errors: [
        "registration-token-expired",
        "manual-registration-token-revoked",
        "registration-token-exhausted",
        "registration-token-used",
        "provisioner-token-revoked",
        "runner-revoked",
        "runner-credential-reused",
      ],
      handle: async ({ principal }) => {
        const now = clock.now();
        const body = await store.read((tx) => describeCredential(tx, instances, principal.token, now));
        return { status: 200, headers: NO_STORE, body };
      },
    }),
    route({
      method: "PATCH",
      path: "/runners/session",
      tag: "Machine: runners",
      summary: "Change the labels of the open session; its jobs go on",
      credential: "runner-session",
      body: changeSessionBodySchema,
      responses: { 204: null },
      errors: ["empty-runner-labels", "runner-session-exhausted"],
      handle: async ({ principal, body }) => {
        await relabelSession(dispatch, principal.sessionId, body.labels);
        return { status: 204 };
      },
    }),
    route({
      method: "DELETE",
      path: "/runners/session",
      tag: "Machine: runners",
      summary: "Sign off: the session ends, jobs it still holds are queued again",
      credential: "runner-session",
      responses: { 204: null },
      handle: async ({ principal }) => {
        const now = clock.now();
        await store.write(async (tx) => {
          const session = await tx.get<{ runner_id: string }>(
            "select runner_id from runner_sessions where id = ? and ended_at is null",
            [principal.sessionId],
          );
          if (!session) return;
          await endRunnerLeases(
            tx,
            dispatch,
            session.runner_id,
            { reason: "released", cause: "draining", message: "the runner signed off while it ran the job" },
            now,
          );
          await endSessions(tx, dispatch, session.runner_id, "signed_off", now);
        });
        return { status: 204 };
      },
    }),
    route({
      method: "PUT",
      path: "/runners/session/health",
      tag: "Machine: runners",
      summary: "Say whether the runner can run jobs, and what keeps it from it",
      credential: "runner-session",
      body: healthBodySchema,
      responses: { 204: null },
      errors: ["runner-session-exhausted"],
      handle: async ({ principal, body }) => {
        const now = clock.now();
        await openSession(dispatch, principal.sessionId);
        await store.write((tx) => reportHealth(tx, dispatch, principal.sessionId, body, now));
        return { status: 204 };
      },
    }),
    route({
      method: "POST",
      path: "/runners/jobs/request",
      tag: "Machine: runners",
      summary: "Claim one job; with wait_seconds the answer waits for one",
      credential: "runner-session",
      query: claimQuerySchema,
      responses: { 200: claimReplySchema, 204: null },
      errors: ["runner-session-exhausted", "claim-key-used", "runner-version-unsupported"],
      hot: true,
      handle: async ({ principal, query, request }) => {
        requireSupportedVersion(settings.version, request);
        await confirm(principal.sessionId);
        const claimed = await claim(dispatch, {
          sessionId: principal.sessionId,
          waitMs: query.wait_seconds * 1000,
          key: idempotencyKey(request),
          withNext: query.next === "true",
          signal: request.signal,
        });
        if (!claimed)
          return dispatch.waiters.stopped ? { status: 204, headers: { "retry-after": "1" } } : { status: 204 };
        const { reply, lease } = describeClaim(claimed, principal.sessionId, settings);
        const body: ClaimReply = {
          ...reply,
          lease_token: tokens.signLease(lease, leaseSeconds),
          ...(claimed.next ? { next: signed(lease, claimed.next) } : {}),
        };
        return { status: 200, headers: NO_STORE, body };
      },
    }),
    route({
      method: "POST",
      path: "/runners/jobs/{jobId}/heartbeat",
      tag: "Machine: jobs",
      summary: "Renew the lease and learn of cancel and drain",
      credential: "lease",
      params: jobParams,
      query: heartbeatQuerySchema,
      body: heartbeatBodySchema,
      optionalBody: true,
      responses: { 200: heartbeatReplySchema },
      errors: ["lease-job-mismatch", "running-job-execution-not-found"],
      hot: true,
      handle: async ({ principal, params, query, request }) => {
        requireJob(principal, params.jobId);
        const told = await heartbeat(dispatch, principal, {
          waitMs: query.wait_seconds * 1000,
          knowsCancel: query.cancelling === "true",
          signal: request.signal,
        });
        return {
          status: 200,
          headers: NO_STORE,
          body: { ...told, lease_token: tokens.signLease(principal, leaseSeconds) },
        };
      },
    }),
    route({
      method: "POST",
      path: "/runners/jobs/{jobId}/release",
      tag: "Machine: jobs",
      summary: "Hand a job back with a reason, or, after a cancel, say that everything is dead",
      credential: "lease",
      params: jobParams,
      body: releaseBodySchema,
      responses: { 204: null },
      errors: ["lease-job-mismatch", "lease-not-active"],
      handle: async ({ principal, params, body }) => {
        requireJob(principal, params.jobId);
        const now = clock.now();
        await store.write((tx) => releaseLease(tx, dispatch, principal, body, now));
        return { status: 204 };
      },
    }),
    route({
      method: "POST",
      path: "/runs/jobs/current/steps/next",
      tag: "Machine: jobs",
      summary: "The next step to run, or that there is none",
      credential: "lease",
      responses: { 200: nextStepReplySchema },
      errors: ["lease-not-active", "job-not-found"],
      hot: true,
      handle: async ({ principal }) => {
        const now = clock.now();
        const next = await store.write(async (tx) => {
          if ((await requireStanding(tx, principal)) === "cancelling") throw leaseGone("lease-not-active", "cancelled");
          return nextStep(tx, dispatch.runs, principal.executionId, now);
        });
        return { status: 200, headers: NO_STORE, body: signed(principal, next) };
      },
    }),
    route({
      method: "POST",
      path: "/runs/jobs/current/steps/{stepId}/report",
      tag: "Machine: jobs",
      summary: "Report a step's result; with next the reply carries the next step",
      credential: "lease",
      params: stepParams,
      body: reportBodySchema,
      responses: { 200: reportReplySchema },
      errors: ["lease-not-active", "step-not-found", "step-not-running", "step-attempt-ahead"],
      hot: true,
      handle: async ({ principal, params, body }) => {
        const now = clock.now();
        const result = await store.write(async (tx) => {
          if ((await requireStanding(tx, principal)) === "cancelling") return { cancel: true, next: null };
          return reportStep(tx, dispatch.runs, principal.executionId, params.stepId, body, now);
        });
        const next = result.next ? { next: signed(principal, result.next) } : {};
        return { status: 200, headers: NO_STORE, body: { ok: true, cancel: result.cancel, ...next } };
      },
    }),
    route({
      method: "POST",
      path: "/runs/jobs/current/steps/{stepId}/checkout-token",
      tag: "Machine: jobs",
      summary: "What is needed to fetch, once, the repository that the step checks out",
      credential: "lease",
      params: stepParams,
      query: attemptQuerySchema,
      responses: { 200: checkoutTokenReplySchema },
      errors: [
        "lease-not-active",
        "step-not-found",
        "step-not-checkout",
        "step-not-running",
        "step-attempt-mismatch",
        "checkout-unavailable",
        "checkout-repository-not-authorized",
        "project-not-found",
        "integration-connection-not-found",
        "integration-capability-unavailable",
        "source-connection-inactive",
        "invalid-repository-url",
        "integration-provider-unavailable",
        "installation-not-found",
        "repository-not-found",
        "access-denied",
        "malformed-provider-response",
        "rate-limited",
        "timeout",
        "provider-unavailable",
      ],
      handle: async ({ principal, params, query }) => {
        const { asked, commit, untrusted } = await store.read(async (tx) => ({
          asked: await requireCheckoutStep(tx, principal, params.stepId, query.attempt),
          commit: await checkedOutCommit(tx, principal.runAttemptId),
          untrusted: await isUntrusted(tx, principal.runId),
        }));
        const { ref, persist_credentials: persist, permissions: access, fetch_depth, ...target } = asked;
        const { isOwn, ...token } = await deps.checkout.checkout({ ...principal, target, access, untrusted });
        const body: CheckoutToken = {
          ...token,
          fetch_depth: fetch_depth ?? token.fetch_depth,
          // What a stranger may have written never gets to hold a credential.
          ...(token.auth ? { auth: { ...token.auth, persist: persist && !untrusted } } : {}),
          ref: ref || (isOwn && commit) || token.ref,
        };
        return { status: 200, headers: NO_STORE, body };
      },
    }),
    route({
      method: "POST",
      path: "/runs/jobs/current/steps/{stepId}/logs",
      tag: "Machine: jobs",
      summary: "Append log records at a byte offset",
      credential: "lease",
      params: stepParams,
      query: logAppendQuerySchema,
      raw: "application/x-ndjson",
      bodyLimitBytes: MAX_LOG_APPEND_BYTES,
      responses: { 200: logAppendReplySchema },
      errors: ["step-not-found", "offset-gap", "malformed-log-chunk", "body-too-large"],
      hot: true,
      handle: async ({ principal, params, query, rawBody }) => {
        if (principal.stepId !== params.stepId || principal.stepAttempt !== query.attempt) {
          throw new ApiError(
            "step-not-found",
            "the lease token was not made for this step and attempt; use the one that came with the step",
          );
        }
        const appended = await logs.append(
          {
            workspaceId: principal.workspaceId,
            runId: principal.runId,
            executionId: principal.executionId,
            stepId: params.stepId,
            attempt: query.attempt,
          },
          query.offset,
          rawBody,
        );
        const { committedLength, capped, budgetLeftBytes } = appended;
        const budget = query.budget === "true" ? { budget_bytes: budgetLeftBytes } : {};
        return { status: 200, body: { committed_length: committedLength, capped, ...budget } };
      },
    }),
    createStepSecretsRoute({ store, secrets: deps.secrets }),
    ...createAgentRoutes({ store }),
  ]);
}

function versionOf(request: RequestFacts): string | null {
  return request.header(RUNNER_VERSION_HEADER)?.slice(0, VERSION_CHARS) ?? null;
}

/** What the runner should know about its version, or null; throws when it is out of the window. */
function requireSupportedVersion(server: string, request: RequestFacts): string | null {
  const runner = versionOf(request);
  const verdict = judgeVersion(server, runner);
  if (verdict.kind === "accepted") return verdict.warning;
  throw new ApiError("runner-version-unsupported", verdict.message, {
    details: { runner, server, ...versionWindow(server) },
  });
}

function idempotencyKey(request: RequestFacts): string | null {
  const header = request.header(IDEMPOTENCY_KEY_HEADER);
  if (header === undefined) return null;
  const parsed = idempotencyKeySchema.safeParse(header);
  if (!parsed.success) throw new ApiError("validation-error", "[headers] idempotency-key: must be 1 to 256 characters");
  return parsed.data;
}

function requireJob(principal: LeasePrincipal, jobId: string): void {
  if (principal.jobId !== jobId) throw new ApiError("lease-job-mismatch", "the lease was made for another job");
}

async function requireCheckoutStep(
  tx: Tx,
  principal: LeasePrincipal,
  stepId: string,
  attempt: number,
): Promise<AskedCheckout> {
  const step = await requireLeasedStep(tx, principal, stepId, attempt);
  const { checkout } = step.config as SetupConfig | CheckoutConfig;
  if ((step.type !== "setup" && step.type !== "checkout") || !checkout)
    throw new ApiError("step-not-checkout", "the step checks nothing out");
  const { permissions, persist_credentials, fetch_depth, ...more } = checkout;
  const { project, connection, repository, ref } = more as CheckoutConfig["checkout"];
  return { permissions, persist_credentials, fetch_depth, project, connection, repository, ref };
}

type AskedCheckout = Omit<CheckoutConfig["checkout"], "fetch_depth" | "force" | "path"> & { fetch_depth?: number };

function describeClaim(
  { fence, executionId, runnerId, facts }: Claim,
  sessionId: string,
  settings: RunnerSettings,
): { reply: Omit<ClaimReply, "lease_token" | "next">; lease: LeasePrincipal } {
  return {
    reply: {
      workflow_run_id: facts.run_id,
      workflow_run_attempt_id: facts.run_attempt_id,
      job_id: facts.job_id,
      job_execution_id: executionId,
      job: {
        workspace_id: facts.workspace_id,
        project_id: facts.project_id,
        project_name: facts.project_name,
        workflow_name: facts.workflow_name,
        run_number: facts.run_number,
        run_attempt: facts.run_attempt,
        job_key: facts.job_key,
        execution_sequence: facts.sequence,
      },
      lease: { fence, term_ms: settings.leaseTermMs, heartbeat_interval_ms: settings.heartbeatIntervalMs },
    },
    lease: {
      fence,
      sessionId,
      runnerId,
      workspaceId: facts.workspace_id,
      projectId: facts.project_id,
      runId: facts.run_id,
      runAttemptId: facts.run_attempt_id,
      runAttempt: facts.run_attempt,
      jobId: facts.job_id,
      executionId,
      stepId: null,
      stepAttempt: null,
    },
  };
}
