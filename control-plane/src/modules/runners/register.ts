import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { canonicalLabels } from "@shipfox/shared/labels";
import type { Capabilities, CredentialReply } from "@shipfox/shared/machine";
import { hashToken, newToken, tokenKind } from "@shipfox/shared/tokens";
import type { RegistrationTokenRow, RunnerRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import { endRunnerLeases, type Dispatch } from "../dispatch/public.ts";
import { MAX_RETIRED_CREDENTIALS } from "./settings.ts";

/** The runner of an instance is there for one job. */
const INSTANCE_CLAIMS = 1;

export interface RegisterRequest {
  /**
   * `sf_mrt_…` makes a runner, `sf_rt_…` opens a new session of the runner it belongs to, `sf_ert_…` makes the runner of one
   * instance, for one job.
   */
  readonly token: string;
  readonly labels: readonly string[] | null;
  readonly capabilities: Capabilities;
  readonly persistent: boolean;
  readonly name: string | null;
  readonly version: string | null;
  /** Idempotency-Key; used with `sf_ert_…` alone. */
  readonly key: string | null;
}

export interface Registered {
  readonly sessionId: string;
  readonly runnerId: string;
  readonly workspaceId: string;
  readonly labels: string[];
  readonly runnerToken: string | null;
  readonly mode: "manual" | "ephemeral";
  /** Jobs that the session may claim; null for any number. */
  readonly maxClaims: number | null;
}

/** A runner instance that asks to be let in by its token. */
export type Enrolment =
  | {
      readonly kind: "new";
      readonly instanceId: string;
      readonly workspaceId: string;
      readonly name: string;
      readonly labels: string[];
    }
  | {
      readonly kind: "repeat";
      readonly workspaceId: string;
      readonly runnerId: string;
      readonly sessionId: string;
      readonly labels: string[];
    }
  | { readonly kind: "reused"; readonly workspaceId: string; readonly instanceId: string; readonly error: ApiError };

/** The instances that provisioners start; implemented above. */
export interface InstancesPort {
  /** Throws 401 and 403 for a token that lets nobody in. */
  judge(tx: WriteTx, request: Pick<RegisterRequest, "token" | "labels" | "key">, now: number): Promise<Enrolment>;
  /** False when the instance was registered meanwhile, or is not wanted any more. */
  registered(
    tx: WriteTx,
    instanceId: string,
    runner: { runnerId: string; sessionId: string; key: string | null },
    now: number,
  ): Promise<boolean>;
  /** Who the token is good for. Throws as `judge`. */
  describe(tx: Tx, token: string, now: number): Promise<{ workspaceId: string; expiresAt: number }>;
}

/** What a registration of an instance that came too often leaves: the refusal, and what to write down of it. */
export class ReusedToken extends Error {
  readonly refusal: Extract<Enrolment, { kind: "reused" }>;

  constructor(refusal: Extract<Enrolment, { kind: "reused" }>) {
    super(refusal.error.message);
    this.refusal = refusal;
  }
}

/** Ids and secrets of one registration, made before its unit so that the unit is safe to run again. */
export interface FreshIdentity {
  readonly runnerId: string;
  readonly sessionId: string;
  readonly runnerToken: string;
}

export function freshIdentity(now: number): FreshIdentity {
  return { runnerId: newId(now), sessionId: newId(now), runnerToken: newToken("rt") };
}

const USE_TOKEN = `update registration_tokens set uses = uses + 1, updated_at = ? where token_hash = ? and revoked_at is null
  and (expires_at is null or expires_at > ?) and (max_uses is null or uses < max_uses) returning *`;
const TOKEN = "select * from registration_tokens where token_hash = ?";
const INSERT_RUNNER = `insert into runners (id, workspace_id, registration_token_id, name, labels, capabilities, version, persistent, credential_hash, created_at, last_seen_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const INSERT_SESSION = `insert into runner_sessions (id, runner_id, workspace_id, mode, labels, capabilities, max_claims, claims_used, created_at, last_seen_at)
  values (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`;
const BY_CREDENTIAL = "select * from runners where credential_hash = ? or previous_credential_hash = ?";
const RETIRED = "select runner_id from retired_runner_credentials where token_hash = ?";
const ROTATE = `update runners set credential_hash = ?, previous_credential_hash = ?, labels = ?, capabilities = ?, version = ?, last_seen_at = ?,
  drain_requested_at = null where id = ?`;
const END_SESSIONS =
  "update runner_sessions set ended_at = ?, end_reason = ? where runner_id = ? and ended_at is null returning id, workspace_id";
const RETIRE =
  "insert into retired_runner_credentials (token_hash, runner_id, retired_at) values (?, ?, ?) on conflict (token_hash) do nothing";
const PRUNE_RETIRED = `delete from retired_runner_credentials where runner_id = ? and token_hash not in
  (select token_hash from retired_runner_credentials where runner_id = ? order by retired_at desc limit ?)`;
const CONFIRM =
  "update runners set previous_credential_hash = null where id = ? and previous_credential_hash is not null";

/** Opens a runner session. Everything happens in the caller's unit, or nothing. */
export function register(
  tx: WriteTx,
  deps: { dispatch: Dispatch; instances: InstancesPort },
  request: RegisterRequest,
  fresh: FreshIdentity,
  now: number,
): Promise<Registered> {
  const kind = tokenKind(request.token);
  if (kind === "rt") return reopen(tx, deps.dispatch, request, fresh, now);
  if (kind === "ert") return enrolInstance(tx, deps.instances, request, fresh, now);
  return enrol(tx, request, fresh, now);
}

async function enrol(tx: WriteTx, request: RegisterRequest, fresh: FreshIdentity, now: number): Promise<Registered> {
  const hash = hashToken(request.token);
  const token = await tx.get<RegistrationTokenRow>(USE_TOKEN, [now, hash, now]);
  if (!token) throw whyUnusable(await tx.get<RegistrationTokenRow>(TOKEN, [hash]), now);
  const labels = canonicalLabels(request.labels ?? []);
  if (labels.length === 0)
    throw new ApiError("empty-runner-labels", "a runner needs at least one label; set SHIPFOX_RUNNER_LABELS");
  const runner = {
    workspaceId: token.workspace_id,
    name: request.name ?? `runner-${fresh.runnerId.slice(-8)}`,
    labels,
    maxClaims: null,
  };
  return enter(tx, { ...request, registrationTokenId: token.id }, runner, fresh, now);
}

/** Throws `ReusedToken` when the unit is to be ended and the refusal written down. */
async function enrolInstance(
  tx: WriteTx,
  instances: InstancesPort,
  request: RegisterRequest,
  fresh: FreshIdentity,
  now: number,
): Promise<Registered> {
  const enrolment = await instances.judge(tx, request, now);
  if (enrolment.kind === "reused") throw new ReusedToken(enrolment);
  if (enrolment.kind === "repeat")
    return { ...enrolment, runnerToken: null, mode: "ephemeral", maxClaims: INSTANCE_CLAIMS };
  const { runnerId, sessionId } = fresh;
  const tied = await instances.registered(tx, enrolment.instanceId, { runnerId, sessionId, key: request.key }, now);
  if (!tied)
    throw new ApiError("registration-token-used", "the registration token of the runner instance was used meanwhile");
  const asked = { ...request, persistent: false, registrationTokenId: null };
  return enter(tx, asked, { ...enrolment, maxClaims: INSTANCE_CLAIMS }, fresh, now);
}

/** A new runner with its first session. */
async function enter(
  tx: WriteTx,
  request: RegisterRequest & { readonly registrationTokenId: string | null },
  runner: { workspaceId: string; name: string; labels: string[]; maxClaims: number | null },
  fresh: FreshIdentity,
  now: number,
): Promise<Registered> {
  const { workspaceId, name, labels, maxClaims } = runner;
  await tx.run(INSERT_RUNNER, [
    fresh.runnerId,
    workspaceId,
    request.registrationTokenId,
    name,
    JSON.stringify(labels),
    JSON.stringify(request.capabilities),
    request.version,
    request.persistent ? 1 : 0,
    request.persistent ? hashToken(fresh.runnerToken) : null,
    now,
    now,
  ]);
  const { capabilities } = request;
  await openSession(tx, fresh, { runnerId: fresh.runnerId, workspaceId, labels, capabilities, maxClaims }, now);
  recordRegistered(tx, workspaceId, { runner_id: fresh.runnerId, name, labels }, now);
  return {
    sessionId: fresh.sessionId,
    runnerId: fresh.runnerId,
    workspaceId,
    labels,
    runnerToken: request.persistent ? fresh.runnerToken : null,
    mode: maxClaims === null ? "manual" : "ephemeral",
    maxClaims,
  };
}

function whyUnusable(token: RegistrationTokenRow | undefined, now: number): ApiError {
  if (!token)
    return new ApiError(
      "unauthorized",
      "the registration token is not known here; `shipfox runners add` makes a new one",
    );
  if (token.revoked_at !== null)
    return new ApiError(
      "manual-registration-token-revoked",
      "the registration token was revoked; `shipfox runners add` makes a new one",
    );
  if (token.expires_at !== null && token.expires_at <= now)
    return new ApiError(
      "registration-token-expired",
      "the registration token has expired; `shipfox runners add` makes a new one",
    );
  return new ApiError(
    "registration-token-exhausted",
    `the registration token was already used ${token.uses} times, its limit; \`shipfox runners add\` makes a new one`,
  );
}

/**
 * A known runner came back: the former session is fenced, its jobs are queued again, and the credential is replaced. The
 * presented one stays good until its successor is first used, because the reply may be lost. One that is older than that
 * is a copy: the live runner is not touched.
 */
async function reopen(
  tx: WriteTx,
  dispatch: Dispatch,
  request: RegisterRequest,
  fresh: FreshIdentity,
  now: number,
): Promise<Registered> {
  const hash = hashToken(request.token);
  const runner = await findRunner(tx, hash);
  await endRunnerLeases(
    tx,
    dispatch,
    runner.id,
    { reason: "superseded", cause: "runner_restarted", message: "the runner was restarted while it ran the job" },
    now,
  );
  await endSessions(tx, dispatch, runner.id, "superseded", now);

  const replaced = runner.credential_hash === hash ? runner.previous_credential_hash : runner.credential_hash;
  if (replaced !== null) await retire(tx, runner.id, replaced, now);
  const labels = request.labels === null ? (JSON.parse(runner.labels) as string[]) : canonicalLabels(request.labels);
  await tx.run(ROTATE, [
    hashToken(fresh.runnerToken),
    hash,
    JSON.stringify(labels),
    JSON.stringify(request.capabilities),
    request.version,
    now,
    runner.id,
  ]);
  await openSession(
    tx,
    fresh,
    {
      runnerId: runner.id,
      workspaceId: runner.workspace_id,
      labels,
      capabilities: request.capabilities,
      maxClaims: null,
    },
    now,
  );
  recordRegistered(tx, runner.workspace_id, { runner_id: runner.id, name: runner.name, labels }, now);
  return {
    sessionId: fresh.sessionId,
    runnerId: runner.id,
    workspaceId: runner.workspace_id,
    labels,
    runnerToken: fresh.runnerToken,
    mode: "manual",
    maxClaims: null,
  };
}

async function findRunner(tx: Tx, hash: string): Promise<RunnerRow> {
  const runner = await tx.get<RunnerRow>(BY_CREDENTIAL, [hash, hash]);
  if (!runner) {
    if (await tx.get(RETIRED, [hash])) {
      throw new ApiError(
        "runner-credential-reused",
        "this runner credential was replaced by a newer one: its file was copied. Register this machine with a registration token of its own",
      );
    }
    throw new ApiError(
      "unauthorized",
      "the runner credential is not known here; register again with a registration token",
    );
  }
  if (runner.revoked_at !== null)
    throw new ApiError("runner-revoked", "the runner was revoked; register again with a registration token");
  return runner;
}

async function openSession(
  tx: WriteTx,
  fresh: FreshIdentity,
  session: {
    runnerId: string;
    workspaceId: string;
    labels: string[];
    capabilities: Capabilities;
    maxClaims: number | null;
  },
  now: number,
): Promise<void> {
  await tx.run(INSERT_SESSION, [
    fresh.sessionId,
    session.runnerId,
    session.workspaceId,
    session.maxClaims === null ? "manual" : "ephemeral",
    JSON.stringify(session.labels),
    JSON.stringify(session.capabilities),
    session.maxClaims,
    now,
    now,
  ]);
}

function recordRegistered(
  tx: WriteTx,
  workspaceId: string,
  payload: { runner_id: string; name: string; labels: string[] },
  now: number,
): void {
  tx.record({ workspaceId, projectId: null, runId: null, type: "runner.registered", payload, createdAt: now });
}

/** Who a token is good for, without using it. Throws as `register` would. */
export async function describeCredential(
  tx: Tx,
  instances: InstancesPort,
  raw: string,
  now: number,
): Promise<CredentialReply> {
  const hash = hashToken(raw);
  if (tokenKind(raw) === "ert") {
    const { workspaceId, expiresAt } = await instances.describe(tx, raw, now);
    return { kind: "registration_token", workspace_id: workspaceId, expires_at: new Date(expiresAt).toISOString() };
  }
  if (tokenKind(raw) === "rt") {
    const { id, name, workspace_id } = await findRunner(tx, hash);
    return { kind: "runner", workspace_id, runner_id: id, name };
  }
  const token = await tx.get<RegistrationTokenRow>(TOKEN, [hash]);
  const isUsable =
    token !== undefined &&
    token.revoked_at === null &&
    (token.expires_at === null || token.expires_at > now) &&
    (token.max_uses === null || token.uses < token.max_uses);
  if (!isUsable) throw whyUnusable(token, now);
  const expiresAt = token.expires_at === null ? null : new Date(token.expires_at).toISOString();
  return { kind: "registration_token", workspace_id: token.workspace_id, expires_at: expiresAt };
}

/** Ends the open sessions of a runner; parked claims look once more and learn why. */
export async function endSessions(
  tx: WriteTx,
  dispatch: Dispatch,
  runnerId: string,
  reason: string,
  now: number,
): Promise<void> {
  const ended = await tx.all<{ id: string; workspace_id: string }>(END_SESSIONS, [now, reason, runnerId]);
  tx.afterCommit(() => {
    for (const { id, workspace_id: workspaceId } of ended) {
      const session = dispatch.sessions.get(id);
      if (session) dispatch.waiters.wakeSession(session);
      dispatch.sessions.forget(id);
      dispatch.deps.onDemandChange?.(workspaceId);
    }
  });
}

/** The first claim of a session proves that the runner holds the new credential: the one before it is retired. */
export async function confirmCredential(tx: WriteTx, runnerId: string, now: number): Promise<void> {
  const runner = await tx.get<RunnerRow>("select * from runners where id = ?", [runnerId]);
  if (!runner || runner.previous_credential_hash === null) return;
  await retire(tx, runnerId, runner.previous_credential_hash, now);
  await tx.run(CONFIRM, [runnerId]);
}

async function retire(tx: WriteTx, runnerId: string, hash: string, now: number): Promise<void> {
  await tx.run(RETIRE, [hash, runnerId, now]);
  await tx.run(PRUNE_RETIRED, [runnerId, runnerId, MAX_RETIRED_CREDENTIALS]);
}
