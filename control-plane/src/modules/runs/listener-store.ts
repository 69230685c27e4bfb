import { newId } from "@shipfox/shared/ids";
import type { ListenerEventRow, ListenerRow, ListenerSubscriptionRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { ListeningModel } from "../workflow/public.ts";
import {
  type Buffered,
  type ListenedExecution,
  type ResolutionReason,
  SHOWN_EXECUTIONS,
  SHOWN_PAYLOAD_BYTES,
} from "./listener-model.ts";
import { insertRows } from "./store.ts";

/** A listening job with what its job and run contribute to every event and decision, and its newest execution. */
export interface ListenerFacts {
  readonly job_id: string;
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly status: ListenerRow["status"];
  readonly firings: number;
  readonly expires_at: number | null;
  readonly key: string;
  readonly job_status: string;
  readonly model: string;
  /** The newest execution; null before the first. */
  readonly execution_id: string | null;
  readonly sequence: number | null;
  readonly execution_status: string | null;
}

const LOAD = `select l.job_id, l.workspace_id, j.project_id, l.run_id, j.run_attempt_id, l.status, l.firings, l.expires_at,
    j.key, j.status as job_status, j.model, e.id as execution_id, e.sequence, e.status as execution_status
  from listeners l join jobs j on j.id = l.job_id left join job_executions e on e.job_id = l.job_id
    and e.sequence = (select max(sequence) from job_executions where job_id = l.job_id)
  where l.job_id = ?`;

/** The lock of a listener is its run's row, as of everything that starts or ends a job. */
export async function lockListener(tx: WriteTx, forUpdate: string, jobId: string): Promise<ListenerFacts | undefined> {
  if (forUpdate !== "")
    await tx.get(`select r.id from runs r where r.id = (select run_id from listeners where job_id = ?)${forUpdate}`, [
      jobId,
    ]);
  return tx.get<ListenerFacts>(LOAD, [jobId]);
}

const INSERT = `insert into listeners (job_id, workspace_id, run_id, status, firings) values (?, ?, ?, 'inactive', 0)`;

export async function insertListener(
  tx: WriteTx,
  { jobId, workspaceId, runId }: { jobId: string; workspaceId: string; runId: string },
): Promise<void> {
  await tx.run(INSERT, [jobId, workspaceId, runId]);
}

const OPEN =
  "update listeners set status = 'listening', snapshot = ?, listening_since = ?, expires_at = ?, due_at = ? where job_id = ?";
const SUBSCRIPTION_COLUMNS = "id, job_id, workspace_id, source, event, matcher_kind, matcher_ordinal, filter";

export async function openListener(
  tx: WriteTx,
  { jobId, workspaceId }: { jobId: string; workspaceId: string },
  { on, until }: Pick<ListeningModel, "on" | "until">,
  { snapshot, expiresAt, now }: { snapshot: string; expiresAt: number; now: number },
): Promise<void> {
  await tx.run(OPEN, [snapshot, now, expiresAt, expiresAt, jobId]);
  const rows = Object.entries({ on, until }).flatMap(([kind, triggers]) =>
    triggers.map(({ source, event, filter }, ordinal) => [
      newId(now),
      jobId,
      workspaceId,
      source,
      event,
      kind,
      ordinal,
      filter,
    ]),
  );
  await insertRows(tx, "listener_subscriptions", SUBSCRIPTION_COLUMNS, rows);
}

const CLOSE = `update listeners set status = 'resolved', resolution_reason = ?, snapshot = null, due_at = null
  where job_id = ? and status <> 'resolved'`;

/** The listener waits for nothing more; what it has not used is dropped. Nothing happens to one that is resolved. */
export async function closeListener(tx: WriteTx, jobId: string, reason: ResolutionReason): Promise<void> {
  if ((await tx.run(CLOSE, [reason, jobId])) === 0) return;
  await tx.run("delete from listener_subscriptions where job_id = ?", [jobId]);
  await tx.run("delete from listener_events where job_id = ? and firing is null", [jobId]);
}

export async function setListenerDue(tx: WriteTx, jobId: string, dueAt: number): Promise<void> {
  await tx.run("update listeners set due_at = ? where job_id = ?", [dueAt, jobId]);
}

const EVENT_COLUMNS = "job_id, event_id, firing, received_at, taken_at, bytes, facts, data";

/** Nothing happens when the job has the event. */
export async function bufferEvent(tx: WriteTx, row: Omit<ListenerEventRow, "firing">): Promise<void> {
  await tx.run(
    `insert into listener_events (${EVENT_COLUMNS}) values (?, ?, null, ?, ?, ?, ?, ?) on conflict (job_id, event_id) do nothing`,
    [row.job_id, row.event_id, row.received_at, row.taken_at, row.bytes, row.facts, row.data],
  );
}

const BUFFERED = `select count(*) as count, coalesce(sum(bytes), 0) as bytes, min(taken_at) as "oldestAt", max(taken_at) as "newestAt"
  from listener_events where job_id = ? and firing is null`;

export async function bufferedEvents(tx: Tx, jobId: string): Promise<Buffered | null> {
  const row = await tx.get<Buffered>(BUFFERED, [jobId]);
  return row && row.count > 0 ? { ...row, bytes: Number(row.bytes) } : null;
}

const FIRE = "update listeners set firings = firings + 1 where job_id = ?";
const RESET_TRIES = "update jobs set infrastructure_retries = 0, retries = 0, updated_at = ? where id = ?";
/** Of what earlier executions got: they have ended, and show no more of it. */
const FORGET_EVENTS = "delete from listener_events where job_id = ? and firing <= ?";
const FORGET_PAYLOADS = `update listener_events set data = 'null' where job_id = ? and firing < ? and data <> 'null' and event_id in
  (select event_id from (select event_id, sum(bytes) over (order by received_at desc, event_id desc) as newer
    from listener_events where job_id = ? and firing < ?) counted where newer > ?)`;
const TAKE = `update listener_events set firing = ? where job_id = ? and event_id in
  (select event_id from listener_events where job_id = ? and firing is null order by received_at, event_id limit ?)`;

/** Gives the events that were received first to the next execution, whose tries begin anew. */
export async function takeForFiring(
  tx: WriteTx,
  jobId: string,
  { executionId, firing, events, now }: { executionId: string; firing: number; events: number; now: number },
): Promise<void> {
  await tx.run(FIRE, [jobId]);
  await tx.run("update job_executions set firing = ? where id = ?", [firing, executionId]);
  await tx.run(RESET_TRIES, [now, jobId]);
  await tx.run(TAKE, [firing, jobId, jobId, events]);
  await tx.run(FORGET_EVENTS, [jobId, firing - SHOWN_EXECUTIONS]);
  await tx.run(FORGET_PAYLOADS, [jobId, firing, jobId, firing, SHOWN_PAYLOAD_BYTES]);
}

/** What an execution of a listening job runs with. */
export async function setUpExecution(
  tx: WriteTx,
  executionId: string,
  { labels, model }: { labels: string; model: string },
): Promise<void> {
  await tx.run("update job_executions set labels = ?, model = ? where id = ?", [labels, model, executionId]);
}

const REPLACE = `update job_executions set (firing, labels, model, name) =
    (select o.firing, o.labels, o.model, o.name from job_executions o where o.id = ?) where id = ?`;

/** Makes a retry what the execution was that it replaces: the same events, values and name. */
export async function replaceExecution(tx: WriteTx, replacedId: string, executionId: string): Promise<void> {
  await tx.run(REPLACE, [replacedId, executionId]);
}

const TRIES =
  "select count(*) as tries from job_executions where job_id = ? and firing = (select firing from job_executions where id = ?)";

/** Executions so far that are the same firing as this one, itself among them. */
export async function triesOf(tx: Tx, jobId: string, executionId: string): Promise<number> {
  return (await tx.get<{ tries: number }>(TRIES, [jobId, executionId]))?.tries ?? 1;
}

const LISTENED = `select e.status, e.status_reason as reason, e.outputs from job_executions e where e.job_id = ? and not exists
    (select 1 from job_executions n where n.job_id = e.job_id and n.sequence = e.sequence + 1 and n.retry_of = e.id)
  order by e.sequence`;

export function listenedExecutions(tx: Tx, jobId: string): Promise<ListenedExecution[]> {
  return tx.all<ListenedExecution>(LISTENED, [jobId]);
}

const DUE = "select job_id from listeners where due_at is not null and due_at <= ? order by due_at limit ?";
const NEXT_DUE = "select min(due_at) as due_at from listeners where due_at is not null";

export async function dueListeners(tx: Tx, now: number, limit: number): Promise<string[]> {
  return (await tx.all<{ job_id: string }>(DUE, [now, limit])).map((row) => row.job_id);
}

export async function nextDueListener(tx: Tx): Promise<number | null> {
  return (await tx.get<{ due_at: number | null }>(NEXT_DUE))?.due_at ?? null;
}

// --- for the routing of events -------------------------------------------------------------------------------------

/** The event, in the pass that is made over it. */
export interface OfferedEvent {
  readonly id: string;
  readonly pass: number;
  readonly workspace_id: string;
  readonly source: string;
  readonly event: string;
  readonly received_at: number;
}

/**
 * What came before the job listened is not for it, unless somebody has it replayed; and never what started its run, or what it has
 * taken before.
 */
const LISTENING = `select distinct s.job_id from listener_subscriptions s join listeners l on l.job_id = s.job_id
    join workspaces w on w.id = s.workspace_id
  where s.workspace_id = ? and s.source = ? and s.event = ? and s.job_id > ? and l.status = 'listening' and w.status = 'active'
    and (l.listening_since <= ? or ? > 1)
    and not exists (select 1 from trigger_decisions d where d.event_id = ?
      and (d.run_id = l.run_id or (d.job_id = s.job_id and d.decision = 'triggered')))
  order by s.job_id limit ?`;

/** The jobs that listen for the event, in order of their ids, after one of them. */
export async function jobsListeningFor(
  tx: Tx,
  { id, pass, workspace_id, source, event, received_at }: OfferedEvent,
  { after, limit }: { after: string; limit: number },
): Promise<string[]> {
  const params = [workspace_id, source, event, after, received_at, pass, id, limit];
  return (await tx.all<{ job_id: string }>(LISTENING, params)).map((row) => row.job_id);
}

/** One trigger of a listening job, with what it made of the event in this pass; null when it has not been asked, or said no. */
export type Matcher = ListenerSubscriptionRow & { readonly decision: string | null };

const MATCHERS = `select s.*, t.decision from listener_subscriptions s
  left join trigger_decisions t on t.event_id = ? and t.pass = ? and t.subscription_id = s.id
  where s.job_id = ? and s.source = ? and s.event = ?
  order by case s.matcher_kind when 'until' then 0 else 1 end, s.matcher_ordinal`;

/** Those that name the event, in the order in which they are asked: what ends the listening goes first. */
export function matchersFor(
  tx: Tx,
  jobId: string,
  { id, pass, source, event }: Pick<OfferedEvent, "id" | "pass" | "source" | "event">,
): Promise<Matcher[]> {
  return tx.all<Matcher>(MATCHERS, [id, pass, jobId, source, event]);
}

/** What the filters of the job see beside the event; null once it listens no more. */
export async function snapshotOf(tx: Tx, jobId: string): Promise<string | null> {
  const sql = "select snapshot from listeners where job_id = ?";
  return (await tx.get<{ snapshot: string | null }>(sql, [jobId]))?.snapshot ?? null;
}
