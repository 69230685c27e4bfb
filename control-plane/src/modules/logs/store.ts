import { marks } from "../../store/marks.ts";
import type { SqlValue, Tx } from "../../store/store.ts";
import type { StreamRef } from "./model.ts";

export interface StreamRow extends StreamRef {
  readonly state: "open" | "closed";
  /** What the runner is answered once the log is closed; null when it was not known at closing: then what is stored. */
  readonly length: number | null;
  readonly truncated: 0 | 1;
  readonly capped: 0 | 1;
  readonly openedAt: number;
  readonly closedAt: number | null;
}

const COLUMNS = `step_id as "stepId", attempt, workspace_id as "workspaceId", run_id as "runId", job_execution_id as "executionId",
  state, length, truncated, capped, opened_at as "openedAt", closed_at as "closedAt"`;

const FIND = `select ${COLUMNS} from log_streams where step_id = ? and attempt = ?`;

export function findStream(tx: Tx, stepId: string, attempt: number): Promise<StreamRow | undefined> {
  return tx.get<StreamRow>(FIND, [stepId, attempt]);
}

const FIRST_OPENED = "select min(opened_at) as at from log_streams where job_execution_id = ?";

/** When the first stream of an execution was opened; null when it has none. */
export async function firstOpenedAt(tx: Tx, executionId: string): Promise<number | null> {
  return (await tx.get<{ at: number | null }>(FIRST_OPENED, [executionId]))?.at ?? null;
}

const INSERT = `insert into log_streams
  (step_id, attempt, workspace_id, run_id, job_execution_id, state, length, truncated, capped, opened_at, closed_at, due_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const INSERT_IF_NEW = `${INSERT} on conflict (step_id, attempt) do nothing`;

export interface NewStream {
  readonly state: "open" | "closed";
  readonly length: number | null;
  readonly truncated: boolean;
  readonly capped: boolean;
  readonly dueAt: number | null;
  readonly now: number;
}

/** Answers the row of the stream; `inserted` is false when there was one before. */
export async function insertStream(
  tx: Tx,
  stream: StreamRef,
  row: NewStream,
): Promise<{ inserted: boolean; row: StreamRow }> {
  const inserted = (await tx.run(INSERT_IF_NEW, insertValues(stream, row))) > 0;
  return { inserted, row: (await findStream(tx, stream.stepId, stream.attempt)) as StreamRow };
}

export interface Closing {
  readonly length: number | null;
  readonly truncated: boolean;
  readonly now: number;
  /** When the closed log is looked at again, to be archived. */
  readonly dueAt: number;
}

const CLOSE = `update log_streams set state = 'closed', length = ?, truncated = ?, closed_at = ?, due_at = ?
  where step_id = ? and attempt = ? and state = 'open'`;

/** False when the stream was closed before. */
export async function closeOpenStream(tx: Tx, stream: StreamRef, closing: Closing): Promise<boolean> {
  const { length, truncated, now, dueAt } = closing;
  return (await tx.run(CLOSE, [length, truncated ? 1 : 0, now, dueAt, stream.stepId, stream.attempt])) > 0;
}

const CLOSE_OR_INSERT = `${INSERT} on conflict (step_id, attempt) do update
  set state = excluded.state, length = excluded.length, truncated = excluded.truncated, closed_at = excluded.closed_at, due_at = excluded.due_at
  where log_streams.state = 'open'`;

/** Closes the stream, or makes a closed one. False when it was closed before. */
export async function closeOrInsertStream(tx: Tx, stream: StreamRef, closing: Closing): Promise<boolean> {
  return (await tx.run(CLOSE_OR_INSERT, insertValues(stream, { ...closing, state: "closed", capped: false }))) > 0;
}

function insertValues(stream: StreamRef, row: NewStream): SqlValue[] {
  return [
    stream.stepId,
    stream.attempt,
    stream.workspaceId,
    stream.runId,
    stream.executionId,
    row.state,
    row.length,
    row.truncated ? 1 : 0,
    row.capped ? 1 : 0,
    row.now,
    row.state === "closed" ? row.now : null,
    row.dueAt,
  ];
}

const MARK_CAPPED = "update log_streams set capped = 1 where step_id = ? and attempt = ?";

export function markCapped(tx: Tx, stepId: string, attempt: number): Promise<number> {
  return tx.run(MARK_CAPPED, [stepId, attempt]);
}

const SCHEDULE_CLOSE = "update log_streams set due_at = ? where job_execution_id = ? and state = 'open'";

export function scheduleOpenStreams(tx: Tx, executionId: string, at: number): Promise<number> {
  return tx.run(SCHEDULE_CLOSE, [at, executionId]);
}

const DUE = `select ${COLUMNS} from log_streams where state = ? and due_at <= ? order by due_at limit ?`;

/** Open logs that are to be closed, or closed ones that are to be archived or deleted. */
export function dueStreams(tx: Tx, state: StreamRow["state"], now: number, limit: number): Promise<StreamRow[]> {
  return tx.all<StreamRow>(DUE, [state, now, limit]);
}

const NEXT_DUE = "select min(due_at) as at from log_streams where state = ? and due_at is not null";

export async function nextDueAt(tx: Tx, state: StreamRow["state"]): Promise<number | null> {
  return (await tx.get<{ at: number | null }>(NEXT_DUE, [state]))?.at ?? null;
}

/** All logs of some executions. */
export function streamsOfExecutions(tx: Tx, executionIds: readonly string[]): Promise<StreamRow[]> {
  const sql = `select ${COLUMNS} from log_streams where job_execution_id in (${marks(executionIds.length)})`;
  return tx.all<StreamRow>(sql, [...executionIds]);
}

const SCHEDULE_CLOSED = "update log_streams set due_at = ? where step_id = ? and attempt = ? and state = 'closed'";

export function scheduleClosedStream(tx: Tx, { stepId, attempt }: StreamRef, at: number | null): Promise<number> {
  return tx.run(SCHEDULE_CLOSED, [at, stepId, attempt]);
}

const DELETE = "delete from log_streams where step_id = ? and attempt = ? and state = 'closed'";

export function deleteStream(tx: Tx, { stepId, attempt }: StreamRef): Promise<number> {
  return tx.run(DELETE, [stepId, attempt]);
}
