import type { Logger } from "@shipfox/shared/logger";
import type { LeaseEndReason } from "@shipfox/shared/machine";
import { Histogram } from "@shipfox/shared/operate/histogram";
import { monotonic, type Clock } from "../../store/clock.ts";
import type { Store, Tx, WriteTx } from "../../store/store.ts";
import type { Evaluator } from "../expressions/public.ts";
import type { Logs } from "../logs/public.ts";
import {
  type DispatchPort,
  type EndingsPort,
  leaseEnded,
  type QueueEntry,
  type ReadVariables,
  type RunsDeps,
  RemovedRuns,
} from "../runs/public.ts";
import { LabelSets } from "./label-sets.ts";
import {
  endLease,
  findLiveLease,
  finishLease,
  isLeased,
  LiveLeases,
  loadLiveLeases,
  markCancelling,
  wake,
  type StoredLease,
} from "./leases.ts";
import { deleteQueueRow, Depths, insertQueueRow, Turns } from "./queue.ts";
import { Sessions } from "./sessions.ts";
import type { DispatchSettings } from "./settings.ts";
import { Waiters } from "./waiters.ts";

const WAIT_BOUNDS_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600];

export interface DispatchDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly logs: Logs;
  readonly evaluator: Evaluator;
  readonly readVariables: ReadVariables;
  readonly endings: EndingsPort;
  readonly settings: DispatchSettings;
  /** Tells the due loop of a moment that may be earlier than the one it waits for. */
  readonly armDue: (at: number) => void;
  /** A job was queued, or a runner signed off: somebody may want to start a runner, or to remove a machine. */
  readonly onDemandChange?: (workspaceId: string) => void;
}

/** The state that all of dispatch shares, and the rows that runs change through it. */
export class Dispatch implements DispatchPort {
  readonly deps: DispatchDeps;
  readonly sessions = new Sessions();
  readonly waiters = new Waiters();
  readonly leases = new LiveLeases();
  readonly depths = new Depths();
  readonly turns = new Turns();
  /** From the queueing of a job to its claim, seconds. */
  readonly waits = new Histogram(WAIT_BOUNDS_SECONDS);
  /** How often leases ended since this process started. */
  readonly leaseEnds = new Map<LeaseEndReason, number>();
  readonly labelSets: LabelSets;
  readonly runs: RunsDeps;

  constructor(deps: DispatchDeps) {
    this.deps = deps;
    const { forUpdate, skipLocked } = deps.store.sql;
    this.runs = {
      dispatch: this,
      logs: deps.logs,
      evaluator: deps.evaluator,
      readVariables: deps.readVariables,
      endings: deps.endings,
      forUpdate,
      skipLocked,
      removed: new RemovedRuns(),
      // Administrators change it while the server runs.
      get maxConcurrentRuns() {
        return deps.settings.maxConcurrentRuns;
      },
    };
    this.labelSets = new LabelSets({
      onNew: (set) => {
        for (const session of this.sessions.addSet(set)) this.waiters.watchNewSet(session, set.id);
      },
      onRemoved: (set) => this.sessions.removeSet(set),
    });
  }

  /** Reads what waits and what is leased. Every lease gets a fresh full term: the time we were away is not the runners' fault. */
  async recover(): Promise<void> {
    await this.deps.store.read(async (tx) => {
      await this.labelSets.recover(tx);
      await this.depths.recover(tx);
      for (const lease of await loadLiveLeases(tx)) this.#adopt(lease);
    });
  }

  #adopt(lease: StoredLease): void {
    this.leases.add({
      fence: lease.fence,
      executionId: lease.job_execution_id,
      sessionId: lease.session_id,
      runnerId: lease.runner_id,
      state: lease.state === "cancelling" ? "cancelling" : "live",
      expiresAt: monotonic() + this.deps.settings.leaseTermMs,
      heartbeatWritten: lease.first_heartbeat_at !== null,
      drainTold: false,
      wakeUps: new Set(),
    });
  }

  async enqueue(tx: WriteTx, entry: QueueEntry): Promise<void> {
    const labelSetId = await this.labelSets.intern(tx, entry.workspaceId, entry.labels, entry.capabilities, entry.now);
    const avoidedUntil = entry.avoidedSessionId === null ? null : entry.now + this.deps.settings.avoidMs;
    await insertQueueRow(tx, { ...entry, labelSetId, avoidedUntil });
    tx.afterCommit(() => {
      this.depths.add(labelSetId, entry.projectId, 1);
      this.waiters.wakeOne(labelSetId);
      this.deps.onDemandChange?.(entry.workspaceId);
    });
  }

  async withdraw(tx: WriteTx, executionId: string): Promise<void> {
    const place = await deleteQueueRow(tx, executionId);
    if (place) tx.afterCommit(() => this.depths.add(place.labelSetId, place.projectId, -1));
  }

  async finishLease(tx: WriteTx, executionId: string, now: number): Promise<void> {
    const fence = await finishLease(tx, executionId, now);
    if (fence !== undefined) tx.afterCommit(() => this.#forget(fence, "finished"));
  }

  async cancelLease(tx: WriteTx, executionId: string, now: number): Promise<void> {
    const lease = await findLiveLease(tx, executionId);
    if (!lease) return;
    const dueAt = now + this.deps.settings.cancelLimitMs;
    await markCancelling(tx, lease.fence, dueAt);
    this.dueAt(tx, dueAt);
    tx.afterCommit(() => {
      const live = this.leases.get(lease.fence);
      if (!live) return;
      live.state = "cancelling";
      wake(live);
    });
  }

  async revokeLease(tx: WriteTx, executionId: string, now: number): Promise<boolean> {
    const lease = await findLiveLease(tx, executionId);
    if (!lease) return false;
    tx.afterCommit(() => {
      const live = this.leases.get(lease.fence);
      if (live) live.state = "revoked";
    });
    return this.end(tx, lease, "cancelled", now);
  }

  isLeased(tx: Tx, jobId: string): Promise<boolean> {
    return isLeased(tx, jobId);
  }

  dueAt(tx: WriteTx, at: number): void {
    tx.afterCommit(() => this.deps.armDue(at));
  }

  /** The server stops: claims and heartbeats that wait come back at once, later ones do not wait. */
  stop(): void {
    this.waiters.stop();
    for (const lease of this.leases.all()) wake(lease);
  }

  /** Ends a lease and lets the logs of its execution close once a late tail has had its time. False when it had ended before. */
  async end(
    tx: WriteTx,
    lease: { fence: number; job_execution_id: string },
    reason: LeaseEndReason,
    now: number,
  ): Promise<boolean> {
    if (!(await endLease(tx, lease.fence, reason, now))) return false;
    await this.deps.logs.scheduleClose(tx, lease.job_execution_id, { at: now + this.deps.settings.logTailMs });
    this.dueAt(tx, now + this.deps.settings.logTailMs);
    await leaseEnded(tx, this.runs, lease.job_execution_id, now);
    tx.afterCommit(() => this.#forget(lease.fence, reason));
    return true;
  }

  #forget(fence: number, reason: LeaseEndReason): void {
    this.leaseEnds.set(reason, (this.leaseEnds.get(reason) ?? 0) + 1);
    const live = this.leases.remove(fence);
    const session = live && this.sessions.get(live.sessionId);
    if (session) session.liveLeases -= 1;
  }
}
