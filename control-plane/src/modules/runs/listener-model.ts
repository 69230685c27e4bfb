import type { JobStatusReason } from "@shipfox/shared/api/runs";
import type { ListeningModel } from "../workflow/public.ts";

/**
 * With so much waiting for the next execution of a listening job no more is taken: its expressions see all of it at once. The
 * last event may go over the bytes.
 */
const MAX_BUFFERED_EVENTS = 1_000;
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** Executions of one listening job, whatever its `max_executions`: `success` and those who need the job see them all. */
export const MAX_LISTENER_EXECUTIONS = 1_000;

/** What is kept and shown of executions: the newest ones, and of the payloads that they got the newest. */
export const SHOWN_EXECUTIONS = 100;
export const SHOWN_PAYLOAD_BYTES = 4 * 1024 * 1024;

export type ResolutionReason = "until" | "timeout" | "max_executions" | "cancelled";

/** What waits for the next execution. Times are those at which an event was taken. */
export interface Buffered {
  readonly count: number;
  /** Of the payloads. */
  readonly bytes: number;
  readonly oldestAt: number;
  readonly newestAt: number;
}

export interface ListenerState {
  readonly now: number;
  /** Executions that were started; a retry repeats one and is none of its own. */
  readonly firings: number;
  /** An execution waits for a runner, runs, or is to be tried again. */
  readonly isBusy: boolean;
  readonly expiresAt: number;
  /** Null when nothing waits. */
  readonly buffered: Buffered | null;
}

export type ListenerVerdict =
  | { readonly kind: "resolve"; readonly reason: "timeout" | "max_executions" }
  /** An execution with so many events, those that were received first. */
  | { readonly kind: "fire"; readonly events: number }
  /** Look again then, or when something happens. */
  | { readonly kind: "wait"; readonly dueAt: number };

/**
 * What a job that listens does next: after it took an event, after an execution, and when its time has come. Executions run one
 * after another, and what ends the listening goes before another one.
 */
export function decideListener(
  { batch, maxExecutions }: Pick<ListeningModel, "batch" | "maxExecutions">,
  { now, firings, isBusy, expiresAt, buffered }: ListenerState,
): ListenerVerdict {
  if (now >= expiresAt) return { kind: "resolve", reason: "timeout" };
  if (isBusy) return { kind: "wait", dueAt: expiresAt };
  if (firings >= Math.min(maxExecutions ?? MAX_LISTENER_EXECUTIONS, MAX_LISTENER_EXECUTIONS))
    return { kind: "resolve", reason: "max_executions" };
  if (buffered === null) return { kind: "wait", dueAt: expiresAt };
  if (batch === null) return { kind: "fire", events: buffered.count };
  const { debounceMs, maxSize, maxWaitMs } = batch;
  const size = maxSize ?? Number.POSITIVE_INFINITY;
  const quietAt = debounceMs === null ? Number.POSITIVE_INFINITY : buffered.newestAt + debounceMs;
  const overdueAt = maxWaitMs === null ? Number.POSITIVE_INFINITY : buffered.oldestAt + maxWaitMs;
  const readyAt = Math.min(quietAt, overdueAt);
  // A full buffer takes nothing more: to wait for more would be to wait for ever.
  if (buffered.count >= size || isFull(buffered) || now >= readyAt)
    return { kind: "fire", events: Math.min(buffered.count, size) };
  return { kind: "wait", dueAt: Math.min(expiresAt, readyAt) };
}

/** Whether no event more is taken. */
export function isFull(buffered: Buffered | null): boolean {
  return buffered !== null && (buffered.count >= MAX_BUFFERED_EVENTS || buffered.bytes >= MAX_BUFFERED_BYTES);
}

/** An execution that no retry has replaced. */
export interface ListenedExecution {
  readonly status: string;
  readonly reason: JobStatusReason | null;
  readonly outputs: string | null;
}

/** What a job that listened has become, without a `success` of its own; none of its executions failed, or there were none. */
export function decideListened(executions: readonly ListenedExecution[]): {
  readonly status: "succeeded" | "failed";
  readonly reason: JobStatusReason | null;
} {
  const failed = executions.find(({ status }) => status === "failed");
  return failed ? { status: "failed", reason: failed.reason ?? "step_failed" } : { status: "succeeded", reason: null };
}

/** What the job publishes if it succeeds: what its last execution that succeeded does. */
export function outputsOf(executions: readonly ListenedExecution[]): string | null {
  return executions.findLast(({ status }) => status === "succeeded")?.outputs ?? null;
}
