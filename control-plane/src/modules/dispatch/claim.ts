import { ApiError } from "@shipfox/shared/errors";
import { monotonic } from "../../store/clock.ts";
import type { WriteTx } from "../../store/store.ts";
import {
  executionClaimed,
  type ExecutionFacts,
  executionLost,
  firstStep,
  lockExecution,
  type NextStepResult,
} from "../runs/public.ts";
import type { Dispatch } from "./dispatch.ts";
import { findLeaseByKey, insertLease, type StoredLease } from "./leases.ts";
import { takeFirst, type Candidate } from "./queue.ts";
import type { Session } from "./sessions.ts";
import { MAX_PARKED_CLAIMS } from "./settings.ts";

/** Places of the queue one look tries before it gives up: rows may be taken by others or closed to this session. */
const MAX_TRIES = 8;

export interface ClaimRequest {
  readonly sessionId: string;
  /** How long to wait for a job, milliseconds; 0 answers at once. */
  readonly waitMs: number;
  /** Idempotency-Key: good for one job. */
  readonly key: string | null;
  /** Answer with the first step as well. */
  readonly withNext: boolean;
  /** Aborted when the caller is gone. */
  readonly signal: AbortSignal;
}

export interface Claim {
  readonly fence: number;
  readonly executionId: string;
  readonly runnerId: string;
  readonly facts: ExecutionFacts;
  readonly next: NextStepResult | null;
}

/** One job for the session, or null when none came in time. */
export async function claim(dispatch: Dispatch, request: ClaimRequest): Promise<Claim | null> {
  const session = await openSession(dispatch, request.sessionId);
  if (request.waitMs === 0) return look(dispatch, session, request, true);
  if (dispatch.waiters.size >= MAX_PARKED_CLAIMS) {
    throw new ApiError("rate-limited", "too many claims are waiting on this server", {
      headers: { "retry-after": "5" },
    });
  }
  const waiter = dispatch.waiters.park(session, request.key, request.waitMs, request.signal);
  try {
    for (let askStore = true; ; ) {
      const claimed = await look(dispatch, session, request, askStore);
      if (claimed) return claimed;
      const wake = await dispatch.waiters.next(waiter);
      if (wake.kind === "over") return null;
      askStore = wake.kind === "session";
    }
  } finally {
    dispatch.waiters.leave(waiter);
    dispatch.sessions.touch(session, dispatch.deps.clock.now());
  }
}

/** The open session, in memory from here on. Throws `runner-session-exhausted` when it has ended. */
export async function openSession(dispatch: Dispatch, sessionId: string): Promise<Session> {
  const now = dispatch.deps.clock.now();
  const known = dispatch.sessions.get(sessionId);
  if (known) {
    dispatch.sessions.touch(known, now);
    return known;
  }
  const loaded = await dispatch.deps.store.read((tx) =>
    dispatch.sessions.load(tx, sessionId, dispatch.labelSets.all(), now),
  );
  if (!loaded) throw exhausted("the session has ended", "ended");
  loaded.liveLeases = dispatch.leases.ofSession(sessionId).length;
  return loaded;
}

function exhausted(message: string, reason: string): ApiError {
  return new ApiError("runner-session-exhausted", message, { details: { reason } });
}

/**
 * Looks once. `askStore` asks even when no job is in sight: the store knows of ended sessions and of repeated keys.
 * Otherwise a runner that matches nothing costs no statement.
 */
async function look(
  dispatch: Dispatch,
  session: Session,
  request: ClaimRequest,
  askStore: boolean,
): Promise<Claim | null> {
  const { store, clock } = dispatch.deps;
  const tried = new Set<string>();
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const candidates = waitingFor(dispatch, session).filter((candidate) => !tried.has(placeOf(candidate)));
    const candidate = dispatch.turns.choose(candidates);
    if (!candidate && (tries > 0 || !askStore)) return null;
    const now = clock.now();
    const claimed = await store.write((tx) => claimInUnit(tx, dispatch, session, candidate, request, now));
    if (claimed) {
      if (request.signal.aborted && request.key === null) {
        await giveBack(dispatch, claimed, session);
        return null;
      }
      return claimed;
    }
    if (!candidate) return null;
    tried.add(placeOf(candidate));
  }
  return null;
}

function placeOf(candidate: Candidate): string {
  return `${candidate.labelSetId} ${candidate.projectId}`;
}

function waitingFor(dispatch: Dispatch, session: Session): Candidate[] {
  const candidates: Candidate[] = [];
  for (const labelSetId of session.satisfied) {
    for (const projectId of dispatch.depths.projects(labelSetId)?.keys() ?? [])
      candidates.push({ labelSetId, projectId });
  }
  return candidates;
}

const SESSION = `select s.ended_at, s.end_reason, s.max_claims, s.claims_used, r.drain_requested_at, r.revoked_at,
    w.status as workspace_status
  from runner_sessions s join runners r on r.id = s.runner_id join workspaces w on w.id = r.workspace_id where s.id = ?`;
/** On the row that ends a session: either comes first, and the other then finds it so. */
const USE_CLAIM = `update runner_sessions set claims_used = claims_used + 1
  where id = ? and ended_at is null and claims_used < max_claims`;

async function claimInUnit(
  tx: WriteTx,
  dispatch: Dispatch,
  session: Session,
  candidate: Candidate | undefined,
  request: ClaimRequest,
  now: number,
): Promise<Claim | null> {
  if (request.key !== null) {
    const earlier = await findLeaseByKey(tx, session.id, request.key);
    if (earlier) return repeat(tx, dispatch, earlier, request, now);
  }
  const row = await tx.get<{
    ended_at: number | null;
    end_reason: string | null;
    max_claims: number | null;
    claims_used: number;
    drain_requested_at: number | null;
    revoked_at: number | null;
    workspace_status: string;
  }>(SESSION, [session.id]);
  if (!row || row.revoked_at !== null) throw exhausted("the runner was revoked", "revoked");
  if (row.ended_at !== null) throw exhausted(`the session has ended (${row.end_reason})`, row.end_reason ?? "ended");
  if (row.drain_requested_at !== null)
    throw exhausted("the runner was asked to drain: it gets no more jobs", "draining");
  if (row.max_claims !== null && row.claims_used >= row.max_claims)
    throw exhausted("the session has used its claims", "used");
  // The runner keeps waiting: it is told when the workspace is opened again.
  if (!candidate || row.workspace_status !== "active") return null;

  const taken = await takeFirst(tx, dispatch.deps.store.sql.skipLocked, session.workspaceId, candidate, {
    id: session.id,
    now,
  });
  if (taken === undefined) return null;
  const { job_execution_id: executionId, queued_at: queuedAt } = taken;
  tx.afterCommit(() => dispatch.depths.add(candidate.labelSetId, candidate.projectId, -1));
  const facts = await executionClaimed(tx, dispatch.runs, executionId, session.runnerId, now);
  if (!facts) return null;
  const fence = await insertLease(
    tx,
    {
      job_execution_id: executionId,
      job_id: facts.job_id,
      run_id: facts.run_id,
      run_attempt_id: facts.run_attempt_id,
      workspace_id: facts.workspace_id,
      project_id: facts.project_id,
      runner_id: session.runnerId,
      session_id: session.id,
      claim_key: request.key,
    },
    now,
  );
  if (row.max_claims !== null && (await tx.run(USE_CLAIM, [session.id])) === 0)
    throw exhausted("the session was ended while it claimed", "ended");
  const next = request.withNext ? await firstStep(tx, dispatch.runs, facts, now) : null;
  tx.afterCommit(() => {
    session.liveLeases += 1;
    dispatch.waits.observe(Math.max(0, now - queuedAt) / 1_000);
    dispatch.leases.add({
      fence,
      executionId,
      sessionId: session.id,
      runnerId: session.runnerId,
      state: "live",
      expiresAt: monotonic() + dispatch.deps.settings.leaseTermMs,
      heartbeatWritten: false,
      drainTold: false,
      wakeUps: new Set(),
    });
  });
  return { fence, executionId, runnerId: session.runnerId, facts, next };
}

/** The reply of an earlier claim with this key was lost: the same lease again, until its job has visibly started. */
async function repeat(
  tx: WriteTx,
  dispatch: Dispatch,
  lease: StoredLease,
  request: ClaimRequest,
  now: number,
): Promise<Claim> {
  if (lease.first_heartbeat_at !== null || lease.ended_at !== null) {
    throw new ApiError(
      "claim-key-used",
      "this Idempotency-Key belongs to a job that has started; use a new one for the next job",
    );
  }
  const facts = await lockExecution(tx, dispatch.runs.forUpdate, lease.job_execution_id);
  if (!facts) throw new ApiError("job-not-found", "the job was removed");
  const next = request.withNext && lease.state === "live" ? await firstStep(tx, dispatch.runs, facts, now) : null;
  return { fence: lease.fence, executionId: lease.job_execution_id, runnerId: lease.runner_id, facts, next };
}

/** Nobody was there to take the reply, and nobody will ask again. */
async function giveBack(dispatch: Dispatch, claimed: Claim, session: Session): Promise<void> {
  const now = dispatch.deps.clock.now();
  await dispatch.deps.store.write(async (tx) => {
    const message = "the runner hung up before it got the job";
    await executionLost(
      tx,
      dispatch.runs,
      claimed.executionId,
      { cause: "claim_abandoned", message, avoidedSessionId: session.id },
      now,
    );
    await dispatch.end(tx, { fence: claimed.fence, job_execution_id: claimed.executionId }, "released", now);
  });
}
