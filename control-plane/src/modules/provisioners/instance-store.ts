import type { InstanceState, TerminateReason } from "@shipfox/shared/provisioner";
import type { RunnerInstanceRow, RunnerInstanceStateRow } from "../../store/schema.ts";
import { marks } from "../../store/marks.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import { hasEnded } from "./model.ts";

const INSERT = `insert into runner_instances (id, workspace_id, provisioner_id, template_key, provider_kind, labels, capabilities,
    label_set_id, state, token_hash, token_prefix, due_at, created_at) values (?, ?, ?, ?, ?, ?, ?, ?, 'planned', ?, ?, ?, ?)`;
const FIND = "select * from runner_instances where id = ?";
const INSERT_STATE = `insert into runner_instance_states (runner_instance_id, number, state, reason, at)
  values (?, (select count(*) + 1 from runner_instance_states where runner_instance_id = ?), ?, ?, ?)`;
const STATES = "select * from runner_instance_states where runner_instance_id = ? order by number";

export type NewInstance = Pick<
  RunnerInstanceRow,
  | "id"
  | "workspace_id"
  | "provisioner_id"
  | "template_key"
  | "provider_kind"
  | "labels"
  | "capabilities"
  | "label_set_id"
  | "token_hash"
  | "token_prefix"
  | "due_at"
  | "created_at"
>;

export async function insertInstance(tx: WriteTx, row: NewInstance): Promise<void> {
  await tx.run(INSERT, [
    row.id,
    row.workspace_id,
    row.provisioner_id,
    row.template_key,
    row.provider_kind,
    row.labels,
    row.capabilities,
    row.label_set_id,
    row.token_hash,
    row.token_prefix,
    row.due_at,
    row.created_at,
  ]);
  await tx.run(INSERT_STATE, [row.id, row.id, "planned", null, row.created_at]);
}

export function findInstance(tx: Tx, instanceId: string): Promise<RunnerInstanceRow | undefined> {
  return tx.get<RunnerInstanceRow>(FIND, [instanceId]);
}

export function lockInstance(
  tx: WriteTx,
  forUpdate: string,
  instanceId: string,
): Promise<RunnerInstanceRow | undefined> {
  return tx.get<RunnerInstanceRow>(`${FIND}${forUpdate}`, [instanceId]);
}

export function statesOf(tx: Tx, instanceId: string): Promise<RunnerInstanceStateRow[]> {
  return tx.all<RunnerInstanceStateRow>(STATES, [instanceId]);
}

const SET_STATE = `update runner_instances set state = ?, reason = ?, provider_runner_id = coalesce(?, provider_runner_id),
    console_tail = coalesce(?, console_tail), reported_at = ?, ended_at = ?, due_at = case when ? = 1 then null else due_at end
  where id = ?`;
const SET_SEEN = `update runner_instances set provider_runner_id = coalesce(?, provider_runner_id),
    console_tail = coalesce(?, console_tail), reported_at = ? where id = ?`;

export interface InstanceChange {
  readonly state: InstanceState;
  readonly reason: string | null;
  readonly providerRunnerId: string | null;
  readonly consoleTail: string | null;
}

/** Moves an instance on, with its history; without a new state only what is known of it. */
export async function changeInstance(
  tx: WriteTx,
  instance: RunnerInstanceRow,
  { state, reason, providerRunnerId, consoleTail }: InstanceChange,
  now: number,
): Promise<void> {
  if (state === instance.state) {
    await tx.run(SET_SEEN, [providerRunnerId, consoleTail, now, instance.id]);
    return;
  }
  const ended = hasEnded(state);
  await tx.run(SET_STATE, [
    state,
    reason,
    providerRunnerId,
    consoleTail,
    now,
    ended ? now : null,
    ended ? 1 : 0,
    instance.id,
  ]);
  await tx.run(INSERT_STATE, [instance.id, instance.id, state, reason, now]);
  tx.record({
    workspaceId: instance.workspace_id,
    projectId: null,
    runId: null,
    type: "runner_instance.state_changed",
    payload: {
      runner_instance_id: instance.id,
      provisioner_id: instance.provisioner_id,
      template_key: instance.template_key,
      state,
      reason,
    },
    createdAt: now,
  });
}

const MARK = `update runner_instances set terminate_reason = ?, due_at = null
  where id = ? and terminate_reason is null and ended_at is null`;

/** Nobody wants the instance any more. False when that was so before. */
export async function markForTermination(tx: WriteTx, instanceId: string, reason: TerminateReason): Promise<boolean> {
  return (await tx.run(MARK, [reason, instanceId])) > 0;
}

export type OpenInstance = RunnerInstanceRow & {
  /** Of its session; null before it registers. */
  readonly claims_used: number | null;
  readonly session_seen_at: number | null;
  readonly session_ended_at: number | null;
};

const COLUMNS = "i.*, s.claims_used, s.last_seen_at as session_seen_at, s.ended_at as session_ended_at";
const OPEN = `select ${COLUMNS} from runner_instances i left join runner_sessions s on s.id = i.session_id
  where i.provisioner_id = ? and i.ended_at is null`;
const OPEN_IN_WORKSPACE = `select ${COLUMNS} from provisioner_pools p
  join runner_instances i on i.provisioner_id = p.provisioner_id and i.ended_at is null
  left join runner_sessions s on s.id = i.session_id where p.workspace_id = ? and p.advertised_at > ?`;

/** The instances of a provisioner that have not ended. */
export function openInstances(tx: Tx, provisionerId: string): Promise<OpenInstance[]> {
  return tx.all<OpenInstance>(OPEN, [provisionerId]);
}

/** Those of all provisioners of a workspace that were heard from since. */
export function openInstancesIn(tx: Tx, workspaceId: string, since: number): Promise<OpenInstance[]> {
  return tx.all<OpenInstance>(OPEN_IN_WORKSPACE, [workspaceId, since]);
}

const TERMINATE = `select i.id, i.provider_runner_id, i.terminate_reason from runner_instances i
  where i.provisioner_id = ? and i.ended_at is null and i.terminate_reason is not null
    and not exists (select 1 from leases l where l.session_id = i.session_id and l.ended_at is null)`;

/** Instances to remove; none that has a job. */
export function toTerminate(
  tx: Tx,
  provisionerId: string,
): Promise<{ id: string; provider_runner_id: string | null; terminate_reason: TerminateReason }[]> {
  return tx.all(TERMINATE, [provisionerId]);
}

const OPEN_LEASE = "select 1 as one from leases where session_id = ? and ended_at is null limit 1";

export async function hasOpenLease(tx: Tx, sessionId: string): Promise<boolean> {
  return (await tx.get(OPEN_LEASE, [sessionId])) !== undefined;
}

const LEFT_OVER = `select i.id, case when s.claims_used > 0 then 'finished' else 'session_ended' end as reason
  from runner_instances i join runner_sessions s on s.id = i.session_id
  where i.provisioner_id = ? and i.ended_at is null and i.terminate_reason is null
    and (s.ended_at is not null or s.claims_used > 0)
    and not exists (select 1 from leases l where l.session_id = s.id
      and (l.ended_at is null or (s.ended_at is null and l.ended_at > ?)))`;

/** Instances whose runner has signed off, or has done its job before `since` and still has not, and why. */
export function leftOver(
  tx: Tx,
  provisionerId: string,
  since: number,
): Promise<{ id: string; reason: TerminateReason }[]> {
  return tx.all(LEFT_OVER, [provisionerId, since]);
}

const SILENT = `select i.id, s.id as session_id from runner_instances i join runner_sessions s on s.id = i.session_id
  where i.provisioner_id = ? and i.ended_at is null and i.terminate_reason is null
    and s.ended_at is null and s.claims_used = 0 and s.last_seen_at <= ?`;

/** Instances whose runner has registered, has had no job, and was not heard from since. */
export function silentInstances(
  tx: Tx,
  provisionerId: string,
  since: number,
): Promise<{ id: string; session_id: string }[]> {
  return tx.all(SILENT, [provisionerId, since]);
}

const INSTANCES_BY_ID = (count: number) =>
  `select ${COLUMNS} from runner_instances i left join runner_sessions s on s.id = i.session_id
   where i.provisioner_id = ? and i.id in (${marks(count)})`;

export function instancesById(tx: Tx, provisionerId: string, ids: readonly string[]): Promise<OpenInstance[]> {
  return tx.all<OpenInstance>(INSTANCES_BY_ID(ids.length), [provisionerId, ...ids]);
}

const DUE = "select * from runner_instances where due_at is not null and due_at <= ? order by due_at limit ?";
const NEXT_DUE = "select min(due_at) as due_at from runner_instances where due_at is not null";

/** Instances that have not registered in time. */
export function dueInstances(tx: Tx, now: number, limit: number): Promise<RunnerInstanceRow[]> {
  return tx.all<RunnerInstanceRow>(DUE, [now, limit]);
}

export async function nextDueInstance(tx: Tx): Promise<number | null> {
  return (await tx.get<{ due_at: number | null }>(NEXT_DUE))?.due_at ?? null;
}

const BY_TOKEN = "select * from runner_instances where token_hash = ?";
const REGISTER = `update runner_instances set runner_id = ?, session_id = ?, register_key = ?, registered_at = ?, due_at = null
  where id = ? and session_id is null and terminate_reason is null and ended_at is null`;

export function findByToken(tx: Tx, tokenHash: string): Promise<RunnerInstanceRow | undefined> {
  return tx.get<RunnerInstanceRow>(BY_TOKEN, [tokenHash]);
}

/** Ties the instance to the runner in it. False when that was done before, or the instance is not wanted any more. */
export async function tieRunner(
  tx: WriteTx,
  instanceId: string,
  runner: { runnerId: string; sessionId: string; key: string | null },
  now: number,
): Promise<boolean> {
  return (await tx.run(REGISTER, [runner.runnerId, runner.sessionId, runner.key, now, instanceId])) > 0;
}

const LIST = (conditions: string) => `select ${COLUMNS} from runner_instances i
  left join runner_sessions s on s.id = i.session_id where i.workspace_id = ?${conditions} order by i.created_at desc, i.id desc limit ?`;

export interface InstanceFilter {
  readonly workspaceId: string;
  readonly provisionerId: string | undefined;
  /** Only those that have not ended. */
  readonly open: boolean;
  readonly before: readonly [number, string] | null;
  readonly limit: number;
}

/** Newest first, one more than the limit when there are more. */
export function listInstances(tx: Tx, filter: InstanceFilter): Promise<OpenInstance[]> {
  const { workspaceId, provisionerId, open, before, limit } = filter;
  const conditions = [
    ...(provisionerId === undefined ? [] : [" and i.provisioner_id = ?"]),
    ...(open ? [" and i.ended_at is null"] : []),
    ...(before ? [" and (i.created_at, i.id) < (?, ?)"] : []),
  ];
  const params = [workspaceId, ...(provisionerId === undefined ? [] : [provisionerId]), ...(before ?? []), limit + 1];
  return tx.all<OpenInstance>(LIST(conditions.join("")), params);
}

export function findInstanceIn(tx: Tx, workspaceId: string, instanceId: string): Promise<OpenInstance | undefined> {
  return tx.get<OpenInstance>(
    `select ${COLUMNS} from runner_instances i left join runner_sessions s on s.id = i.session_id
     where i.workspace_id = ? and i.id = ?`,
    [workspaceId, instanceId],
  );
}
