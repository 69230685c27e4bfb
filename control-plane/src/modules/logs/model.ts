import { encodeLogRecord } from "@shipfox/shared/log-records";
import type { LogPlace } from "./log-store.ts";

/** The log of one attempt of one step, and where it belongs. */
export interface StreamRef extends LogPlace {
  readonly runId: string;
}

/** What is known of a log that was begun. */
export interface StreamState {
  /** Bytes the runner need not send again: the offset of its next append. */
  readonly committed: number;
  /** Bytes that are kept and can be read; below `committed` only when the log is capped. */
  readonly stored: number;
  /** Over the job's budget: nothing more is kept of this log, so that positions stay offsets. */
  readonly capped: boolean;
  readonly closed: boolean;
  /** Closed because the runner stopped reporting. */
  readonly truncated: boolean;
  readonly closedAt: number | null;
}

export function streamKey(stepId: string, attempt: number): string {
  return `${stepId}:${attempt}`;
}

export interface Append {
  readonly offset: number;
  readonly length: number;
  /** The job's budget was used up before this append. */
  readonly overBudget: boolean;
}

/**
 * The offset algebra. `store` keeps the chunk, `drop` counts it without keeping it, `acknowledge` has it already or never
 * will, `gap` sends the runner back to the committed length.
 */
export function decideAppend(
  stream: Pick<StreamState, "committed" | "capped" | "closed">,
  append: Append,
): "store" | "drop" | "acknowledge" | "gap" {
  if (stream.closed || append.length === 0) return "acknowledge";
  if (append.offset === stream.committed) return stream.capped || append.overBudget ? "drop" : "store";
  return append.offset + append.length <= stream.committed ? "acknowledge" : "gap";
}

export interface BudgetSettings {
  /** Bytes a job execution may log at once. */
  readonly budgetBaseBytes: number;
  /** Bytes it may log in addition for every minute since its first append. */
  readonly budgetPerMinuteBytes: number;
}

const MINUTE_MS = 60_000;

export function budgetBytes(settings: BudgetSettings, sinceFirstAppendMs: number): number {
  return (
    settings.budgetBaseBytes + Math.floor((Math.max(0, sinceFirstAppendMs) / MINUTE_MS) * settings.budgetPerMinuteBytes)
  );
}

export interface RetentionSettings {
  /** A log is archived so long after it ended, when most of its readers are gone. */
  readonly archiveAfterMs: number;
  /** A log is deleted so long after it ended; null: only with its run. */
  readonly retentionMs: number | null;
}

/** What is due of a closed log. */
export function decideKeeping(settings: RetentionSettings, closedAt: number, now: number): "archive" | "delete" {
  return settings.retentionMs !== null && now >= closedAt + settings.retentionMs ? "delete" : "archive";
}

export interface Tombstone {
  readonly line: string;
  /** The reader's cursor behind it. */
  readonly next: number;
}

/**
 * The records that readers meet behind the last byte: `capped`, then `runner_lost`. They are made on reading and take one
 * cursor step each. Both stand only where no byte can follow any more, so a cursor behind them never means a byte.
 */
export function tombstonesAfter(stream: StreamState, cursor: number, now: number): Tombstone[] {
  const types = [
    ...(stream.capped ? (["capped"] as const) : []),
    ...(stream.closed && stream.truncated ? (["runner_lost"] as const) : []),
  ];
  return types
    .map((type, index) => ({
      line: encodeLogRecord({ v: 1, ts: stream.closedAt ?? now, type }),
      next: stream.stored + index + 1,
    }))
    .filter((tombstone) => tombstone.next > cursor);
}

/** How far a step is, as the runs module tells it. */
export interface StepProgress {
  readonly status: string;
  readonly currentAttempt: number;
}

/** What may still come of the log of an attempt about which nothing is stored. */
export function attemptWithoutLog(step: StepProgress, attempt: number): "never" | "not-yet" | "running" | "finished" {
  if (attempt < step.currentAttempt) return "finished";
  if (step.status === "pending") return "not-yet";
  if (attempt > step.currentAttempt) return step.status === "running" ? "not-yet" : "never";
  if (step.status === "running") return "running";
  return step.status === "skipped" ? "never" : "finished";
}
