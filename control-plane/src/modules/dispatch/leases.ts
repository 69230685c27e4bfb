import type { LeaseEndReason } from "@shipfox/shared/machine";
import { ApiError } from "@shipfox/shared/errors";
import type { LeasePrincipal } from "../../http/route.ts";
import type { LeaseRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";

/** A lease that has not ended, as this process keeps it. */
export interface LiveLease {
  readonly fence: number;
  readonly executionId: string;
  readonly sessionId: string;
  readonly runnerId: string;
  /** `revoked` is told once to the heartbeats that were parked when a forced cancel ended the lease. */
  state: "live" | "cancelling" | "revoked";
  /** Monotonic time, milliseconds. */
  expiresAt: number;
  heartbeatWritten: boolean;
  drainTold: boolean;
  readonly wakeUps: Set<() => void>;
}

/**
 * The terms of all live leases, in memory: renewing one is no write. Renewal moves a lease to the end of the map, and all
 * terms are equally long, so the first entry is always the next to expire.
 */
export class LiveLeases {
  readonly #byFence = new Map<number, LiveLease>();

  get size(): number {
    return this.#byFence.size;
  }

  get(fence: number): LiveLease | undefined {
    return this.#byFence.get(fence);
  }

  add(lease: LiveLease): void {
    this.#byFence.set(lease.fence, lease);
  }

  renew(lease: LiveLease, expiresAt: number): void {
    if (!this.#byFence.delete(lease.fence)) return;
    lease.expiresAt = expiresAt;
    this.#byFence.set(lease.fence, lease);
  }

  renewAll(expiresAt: number): void {
    for (const lease of this.#byFence.values()) lease.expiresAt = expiresAt;
  }

  remove(fence: number): LiveLease | undefined {
    const lease = this.#byFence.get(fence);
    this.#byFence.delete(fence);
    if (lease) wake(lease);
    return lease;
  }

  /** Leases whose term ends by then, soonest first. */
  endingBy(monotonicTime: number): LiveLease[] {
    const ending: LiveLease[] = [];
    for (const lease of this.#byFence.values()) {
      if (lease.expiresAt > monotonicTime) break;
      ending.push(lease);
    }
    return ending;
  }

  all(): Iterable<LiveLease> {
    return this.#byFence.values();
  }

  ofSession(sessionId: string): LiveLease[] {
    return [...this.#byFence.values()].filter((lease) => lease.sessionId === sessionId);
  }
}

/** Lets parked heartbeats answer at once. */
export function wake(lease: LiveLease): void {
  for (const wakeUp of lease.wakeUps) wakeUp();
}

const INSERT = `insert into leases (job_execution_id, job_id, run_id, run_attempt_id, workspace_id, project_id, runner_id, session_id, claim_key, state, claimed_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'live', ?) returning fence`;
const BY_FENCE = "select * from leases where fence = ?";
const BY_KEY = "select * from leases where session_id = ? and claim_key = ?";
const LIVE_OF_EXECUTION = "select * from leases where job_execution_id = ? and ended_at is null";
const LIVE_OF_RUNNER = "select * from leases where runner_id = ? and ended_at is null";
const END =
  "update leases set state = 'ended', end_reason = ?, ended_at = ?, due_at = null where fence = ? and ended_at is null";
const CANCEL = "update leases set state = 'cancelling', due_at = ? where fence = ? and ended_at is null";
const HEARTBEAT =
  "update leases set first_heartbeat_at = ? where fence = ? and first_heartbeat_at is null and ended_at is null";
const DUE = "select * from leases where due_at is not null and due_at <= ? order by due_at limit ?";
const NEXT_DUE = "select min(due_at) as due_at from leases where due_at is not null";

export async function insertLease(
  tx: WriteTx,
  lease: Pick<
    LeaseRow,
    | "job_execution_id"
    | "job_id"
    | "run_id"
    | "run_attempt_id"
    | "workspace_id"
    | "project_id"
    | "runner_id"
    | "session_id"
    | "claim_key"
  >,
  now: number,
): Promise<number> {
  const row = await tx.get<{ fence: number }>(INSERT, [
    lease.job_execution_id,
    lease.job_id,
    lease.run_id,
    lease.run_attempt_id,
    lease.workspace_id,
    lease.project_id,
    lease.runner_id,
    lease.session_id,
    lease.claim_key,
    now,
  ]);
  return row?.fence ?? 0;
}

/** A row with its generated column as the plain number that it is when read. */
export type StoredLease = Omit<LeaseRow, "fence"> & { readonly fence: number };

export const findLease = (tx: Tx, fence: number) => tx.get<StoredLease>(BY_FENCE, [fence]);
export const findLeaseByKey = (tx: Tx, sessionId: string, key: string) => tx.get<StoredLease>(BY_KEY, [sessionId, key]);
export const findLiveLease = (tx: Tx, executionId: string) => tx.get<StoredLease>(LIVE_OF_EXECUTION, [executionId]);
export const findRunnerLeases = (tx: Tx, runnerId: string) => tx.all<StoredLease>(LIVE_OF_RUNNER, [runnerId]);
export const findDueLeases = (tx: Tx, now: number, limit: number) => tx.all<StoredLease>(DUE, [now, limit]);
export const nextDueLease = async (tx: Tx) => (await tx.get<{ due_at: number | null }>(NEXT_DUE))?.due_at ?? null;
export const loadLiveLeases = (tx: Tx) =>
  tx.all<StoredLease>("select * from leases where ended_at is null order by fence");

const FINISH = `update leases set state = 'ended', end_reason = 'finished', ended_at = ?, due_at = null
  where job_execution_id = ? and ended_at is null returning fence`;

/** Ends the lease of an execution that ended by its own report; the fence, or undefined when none was live. */
export async function finishLease(tx: WriteTx, executionId: string, now: number): Promise<number | undefined> {
  return (await tx.get<{ fence: number }>(FINISH, [now, executionId]))?.fence;
}

/** Ends a lease; false when it had ended before. */
export async function endLease(tx: WriteTx, fence: number, reason: LeaseEndReason, now: number): Promise<boolean> {
  return (await tx.run(END, [reason, now, fence])) > 0;
}

export async function markCancelling(tx: WriteTx, fence: number, dueAt: number): Promise<void> {
  await tx.run(CANCEL, [dueAt, fence]);
}

export async function writeFirstHeartbeat(tx: WriteTx, fence: number, now: number): Promise<void> {
  await tx.run(HEARTBEAT, [now, fence]);
}

const LEASED = `select 1 as found from job_executions e join leases l on l.job_execution_id = e.id
  where e.job_id = ? and l.ended_at is null limit 1`;

/** Whether a lease of some execution of the job lives. */
export async function isLeased(tx: Tx, jobId: string): Promise<boolean> {
  return (await tx.get(LEASED, [jobId])) !== undefined;
}

const ENDED_AT = "select ended_at from leases where job_execution_id = ? order by fence desc limit 1";

/** When the newest lease of an execution ended, milliseconds since the epoch; null while it lives or before there is one. Locks its row. */
export async function leaseEndedAt(tx: Tx, forUpdate: string, executionId: string): Promise<number | null> {
  return (await tx.get<{ ended_at: number | null }>(ENDED_AT + forUpdate, [executionId]))?.ended_at ?? null;
}

/** What a call on a lease that is not the live one is told. */
export function leaseGone(
  code: "lease-not-active" | "running-job-execution-not-found",
  reason: string | null,
): ApiError {
  return new ApiError(code, `the lease has ended (${reason ?? "superseded"}); stop working on this job`, {
    details: { reason: reason ?? "superseded" },
  });
}

/**
 * When the presented lease ended, milliseconds since the epoch; null while it lives. For what a superseded execution may
 * still add to itself. Throws 404 `lease-not-active` when there is no such lease. Run after the execution is locked.
 */
export async function presentedLeaseEndedAt(tx: Tx, principal: LeasePrincipal): Promise<number | null> {
  const lease = await findLease(tx, principal.fence);
  if (!lease || lease.job_execution_id !== principal.executionId) throw leaseGone("lease-not-active", "revoked");
  return lease.ended_at;
}

/** `finished` lets the caller answer a lease whose execution ended by its own report, as the protocol does. */
export type LeaseStanding = "live" | "cancelling" | "finished";

/** How the presented lease stands; throws 404 `lease-not-active` when another holds the job or nobody may. Run after the execution is locked. */
export async function requireStanding(tx: Tx, principal: LeasePrincipal): Promise<LeaseStanding> {
  const lease = await findLease(tx, principal.fence);
  if (!lease || lease.job_execution_id !== principal.executionId) throw leaseGone("lease-not-active", "revoked");
  if (lease.ended_at === null) return lease.state === "cancelling" ? "cancelling" : "live";
  if (lease.end_reason === "finished") return "finished";
  throw leaseGone("lease-not-active", lease.end_reason);
}

/** For what only a job that goes on may have: throws 404 `lease-not-active` unless the presented lease is live. */
export async function requireLive(tx: Tx, principal: LeasePrincipal): Promise<void> {
  const standing = await requireStanding(tx, principal);
  if (standing !== "live") throw leaseGone("lease-not-active", standing === "cancelling" ? "cancelled" : "finished");
}
