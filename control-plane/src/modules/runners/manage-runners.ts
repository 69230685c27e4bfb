import type { ActiveRunner, Runner } from "@shipfox/shared/api/runners";
import { ApiError } from "@shipfox/shared/errors";
import type { RunnerRow, RunnerSessionRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import { endRunnerLeases, isOnline, type Dispatch } from "../dispatch/public.ts";
import { endSessions } from "./register.ts";
import { judgeVersion } from "./version-window.ts";

/** A runner without a credential of its own exists only while it is heard from; a persistent one stays in the list. */
const LIST = `select * from runners where workspace_id = ? and (persistent = 1 or last_seen_at > ?) order by created_at, id`;
const OPEN_SESSIONS = "select * from runner_sessions where workspace_id = ? and ended_at is null";
const LIVE_LEASES = `select runner_id, session_id, job_id, job_execution_id, run_id, run_attempt_id, project_id, claimed_at from leases
  where workspace_id = ? and ended_at is null order by fence`;
const FIND = "select * from runners where id = ? and workspace_id = ?";
const DRAIN = "update runners set drain_requested_at = coalesce(drain_requested_at, ?) where id = ?";
const REVOKE = "update runners set revoked_at = coalesce(revoked_at, ?) where id = ?";

/** How long an unnamed runner stays in the list after it was last heard from. */
const FORGET_UNNAMED_MS = 24 * 3_600_000;

interface LeaseView {
  readonly runner_id: string;
  readonly session_id: string;
  readonly job_id: string;
  readonly job_execution_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly project_id: string;
  readonly claimed_at: number;
}

/** `version` is the control plane's own, beside which the runners' are judged. */
export async function listRunners(
  tx: Tx,
  dispatch: Dispatch,
  workspaceId: string,
  { version, now }: { version: string; now: number },
): Promise<Runner[]> {
  const leases = Map.groupBy(await tx.all<LeaseView>(LIVE_LEASES, [workspaceId]), (lease) => lease.runner_id);
  const seen = new Map(dispatch.sessions.online(workspaceId, now).map((session) => [session.runnerId, session]));
  const rows = await tx.all<RunnerRow>(LIST, [workspaceId, now - FORGET_UNNAMED_MS]);
  return rows.map((runner) => presentRunner(runner, leases.get(runner.id) ?? [], seen.get(runner.id) ?? null, version));
}

function presentRunner(
  runner: RunnerRow,
  leases: readonly LeaseView[],
  online: OnlineSession | null,
  serverVersion: string,
): Runner {
  const seenAt = Math.max(online?.lastSeenAt ?? 0, runner.last_seen_at ?? 0);
  const fault = online?.fault ?? null;
  return {
    id: runner.id,
    workspace_id: runner.workspace_id,
    name: runner.name,
    labels: JSON.parse(runner.labels),
    capabilities: JSON.parse(runner.capabilities),
    state: stateOf(runner, leases.length, online),
    unhealthy: fault && { reason: fault.reason, since: iso(fault.since) },
    version: runner.version,
    version_warning: versionWarning(serverVersion, runner.version),
    jobs: leases.map((lease) => ({
      job_id: lease.job_id,
      job_execution_id: lease.job_execution_id,
      workflow_run_id: lease.run_id,
      project_id: lease.project_id,
      claimed_at: iso(lease.claimed_at),
    })),
    registered_at: iso(runner.created_at),
    last_seen_at: seenAt === 0 ? null : iso(seenAt),
    drain_requested_at: runner.drain_requested_at === null ? null : iso(runner.drain_requested_at),
    revoked_at: runner.revoked_at === null ? null : iso(runner.revoked_at),
  };
}

type OnlineSession = ReturnType<Dispatch["sessions"]["online"]>[number];

function versionWarning(server: string, runner: string | null): string | null {
  const verdict = judgeVersion(server, runner);
  return verdict.kind === "refused" ? verdict.message : verdict.warning;
}

function stateOf(runner: RunnerRow, jobs: number, online: OnlineSession | null): Runner["state"] {
  if (runner.revoked_at !== null) return "revoked";
  if (!online) return "offline";
  if (runner.drain_requested_at !== null) return "draining";
  if (online.fault) return "unhealthy";
  return jobs > 0 ? "busy" : "online";
}

/** The published list: one row for each session heard from lately, and one for each job of a busy one. */
export async function listActiveRunners(
  tx: Tx,
  dispatch: Dispatch,
  workspaceId: string,
  now: number,
): Promise<ActiveRunner[]> {
  const leases = Map.groupBy(await tx.all<LeaseView>(LIVE_LEASES, [workspaceId]), (lease) => lease.session_id);
  const sessions = new Map(
    (await tx.all<RunnerSessionRow>(OPEN_SESSIONS, [workspaceId])).map((session) => [session.id, session]),
  );
  const draining = new Set(
    (
      await tx.all<{ id: string }>("select id from runners where workspace_id = ? and drain_requested_at is not null", [
        workspaceId,
      ])
    ).map((row) => row.id),
  );
  const active: ActiveRunner[] = [];
  for (const session of dispatch.sessions.online(workspaceId, now)) {
    if (!sessions.has(session.id) || !isOnline(session, now)) continue;
    const jobs = leases.get(session.id) ?? [];
    for (const job of jobs.length > 0 ? jobs : [null]) {
      active.push({
        runner_session_id: session.id,
        runner_id: session.runnerId,
        runner_name: session.runnerName,
        provider_runner_id: null,
        provisioned_runner_id: null,
        provisioner_id: null,
        state: draining.has(session.runnerId) ? "stopping" : job ? "busy" : "running",
        labels: [...session.labels],
        template_key: null,
        provider_kind: null,
        job_id: job?.job_id ?? null,
        workflow_run_attempt_id: job?.run_attempt_id ?? null,
        project_id: job?.project_id ?? null,
        reported_at: iso(session.lastSeenAt),
        last_heartbeat_at: iso(session.lastSeenAt),
        unhealthy_reason: session.fault?.reason ?? null,
      });
    }
  }
  return active;
}

/** The runner finishes what it has and gets nothing more. Its parked claims and heartbeats are told at once. */
export async function drainRunner(
  tx: WriteTx,
  dispatch: Dispatch,
  workspaceId: string,
  runnerId: string,
  now: number,
): Promise<void> {
  await requireRunner(tx, workspaceId, runnerId);
  await tx.run(DRAIN, [now, runnerId]);
  tx.record({
    workspaceId,
    projectId: null,
    runId: null,
    type: "runner.drain_requested",
    payload: { runner_id: runnerId },
    createdAt: now,
  });
  tx.afterCommit(() => {
    for (const session of dispatch.sessions.online(workspaceId, now))
      if (session.runnerId === runnerId) dispatch.waiters.wakeSession(session);
    for (const lease of dispatch.leases.all())
      if (lease.runnerId === runnerId) for (const wakeUp of lease.wakeUps) wakeUp();
  });
}

/** The runner is out at once: its session and leases end, its jobs are queued again, its credential is worth nothing. */
export async function revokeRunner(
  tx: WriteTx,
  dispatch: Dispatch,
  workspaceId: string,
  runnerId: string,
  now: number,
): Promise<void> {
  await requireRunner(tx, workspaceId, runnerId);
  await endRunnerLeases(
    tx,
    dispatch,
    runnerId,
    { reason: "revoked", cause: "runner_revoked", message: "the runner was revoked while it ran the job" },
    now,
  );
  await tx.run(REVOKE, [now, runnerId]);
  await endSessions(tx, dispatch, runnerId, "revoked", now);
  tx.record({
    workspaceId,
    projectId: null,
    runId: null,
    type: "runner.revoked",
    payload: { runner_id: runnerId },
    createdAt: now,
  });
}

const RUNNERS_OF_TOKEN =
  "select id from runners where workspace_id = ? and registration_token_id = ? and revoked_at is null";

/** Revokes every runner that registered with a token. */
export async function revokeRunnersOf(
  tx: WriteTx,
  dispatch: Dispatch,
  workspaceId: string,
  tokenId: string,
  now: number,
): Promise<void> {
  for (const runner of await tx.all<{ id: string }>(RUNNERS_OF_TOKEN, [workspaceId, tokenId])) {
    await revokeRunner(tx, dispatch, workspaceId, runner.id, now);
  }
}

const RUNNERS_OF_WORKSPACE = "select id from runners where workspace_id = ? and revoked_at is null";
const REVOKE_TOKENS =
  "update registration_tokens set revoked_at = ?, updated_at = ? where workspace_id = ? and revoked_at is null";

/** For a workspace that is deleted: no runner of it works on, and none can register. */
export async function shutRunnersOut(tx: WriteTx, dispatch: Dispatch, workspaceId: string, now: number): Promise<void> {
  for (const runner of await tx.all<{ id: string }>(RUNNERS_OF_WORKSPACE, [workspaceId]))
    await revokeRunner(tx, dispatch, workspaceId, runner.id, now);
  await tx.run(REVOKE_TOKENS, [now, now, workspaceId]);
}

async function requireRunner(tx: Tx, workspaceId: string, runnerId: string): Promise<RunnerRow> {
  const runner = await tx.get<RunnerRow>(FIND, [runnerId, workspaceId]);
  if (!runner)
    throw new ApiError("not-found", "the workspace has no such runner; `shipfox runners list` shows those it has");
  return runner;
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
