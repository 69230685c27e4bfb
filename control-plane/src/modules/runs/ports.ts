import type { Waiting } from "@shipfox/shared/api/runs";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { Evaluator } from "../expressions/public.ts";
import type { Logs } from "../logs/public.ts";
import type { RemovedRuns } from "./removed-runs.ts";

export interface RunsDeps {
  readonly dispatch: DispatchPort;
  readonly logs: Logs;
  readonly evaluator: Pick<Evaluator, "evaluateIn" | "coerceIn">;
  readonly readVariables: ReadVariables;
  readonly endings: EndingsPort;
  /** The dialect's row locks, "" on SQLite. */
  readonly forUpdate: string;
  readonly skipLocked: string;
  /** Runs that a workspace may have going at once when it has no limit of its own; 0 for any number. */
  readonly maxConcurrentRuns: number;
  readonly removed: RemovedRuns;
}

/** The values that variables have now in a project, by key; without those that have none. Given by app.ts. */
export type ReadVariables = (
  tx: Tx,
  place: { readonly workspaceId: string; readonly projectId: string },
  keys: ReadonlySet<string>,
) => Promise<ReadonlyMap<string, string>>;

/**
 * What runs need from dispatch, which lies above them: rows that must change in the same transaction.
 * Given by app.ts. All methods run inside the caller's unit and are safe to repeat.
 */
export interface DispatchPort {
  /** The execution may run now. Wakes a matching runner once the unit is committed. */
  enqueue(tx: WriteTx, entry: QueueEntry): Promise<void>;
  /** The execution must not be claimed any more; nothing happens when it is not queued. */
  withdraw(tx: WriteTx, executionId: string): Promise<void>;
  /** The execution reached its end by its own report: the lease is over and the slot is free. */
  finishLease(tx: WriteTx, executionId: string, now: number): Promise<void>;
  /** The execution was ended from outside: the runner is told to stop, the lease lives until the runner says that all is dead, or its grace is over. */
  cancelLease(tx: WriteTx, executionId: string, now: number): Promise<void>;
  /** As cancelLease, but the lease ends at once and the slot is given away. False when there was none left to end. */
  revokeLease(tx: WriteTx, executionId: string, now: number): Promise<boolean>;
  /** Whether a runner still has a lease of some execution of the job. */
  isLeased(tx: Tx, jobId: string): Promise<boolean>;
  /** Something has become due earlier than the due loop knows. */
  dueAt(tx: WriteTx, at: number): void;
}

/** Who must know, in the same transaction, that a run has ended. Given by app.ts. */
export interface EndingsPort {
  /** Called once for each attempt of a run, when its row says how it ended. */
  runEnded(tx: WriteTx, runId: string, now: number): Promise<void>;
}

export interface QueueEntry {
  readonly executionId: string;
  readonly workspaceId: string;
  readonly projectId: string;
  readonly labels: readonly string[];
  readonly capabilities: readonly string[];
  readonly priority: number;
  /** A session that just failed at this job is passed over for a while. */
  readonly avoidedSessionId: string | null;
  readonly now: number;
}

/** "Why is it waiting", for a job whose execution is in the queue. */
export interface WaitingPort {
  /** Explains the jobs of one answer, which is read in `tx`: what they share is read once. */
  explainIn(tx: Tx): ExplainWaiting;
}

export type ExplainWaiting = (entry: {
  workspaceId: string;
  projectId: string;
  labels: readonly string[];
  capabilities: readonly string[];
  since: number;
}) => Promise<Waiting>;
