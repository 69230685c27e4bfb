import type { DefinitionRow, TriggerEventRow, TriggerSubscriptionRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { EndedRun } from "../runs/public.ts";
import { ANY_RUN_END, WORKFLOW_SOURCE } from "../workflow/public.ts";
import type { Decision } from "./model.ts";

const COLUMNS = [
  "id",
  "workspace_id",
  "project_id",
  "definition_id",
  "trigger_key",
  "source",
  "event",
  "filter",
  "inputs",
  "workflow",
  "schedule",
  "timezone",
  "next_fire_at",
  "updated_at",
] as const satisfies (keyof TriggerSubscriptionRow)[];
const REPLACED = COLUMNS.slice(COLUMNS.indexOf("source"));

const UPSERT = `insert into trigger_subscriptions (${COLUMNS.join(", ")}) values (${COLUMNS.map(() => "?").join(", ")})
  on conflict (definition_id, trigger_key) do update set ${REPLACED.map((name) => `${name} = excluded.${name}`).join(", ")}`;

/** Whether a definition may start runs by itself: it is of its project's default branch, and all that it is in is alive. */
const STARTS = `w.status = 'active' and p.archived_at is null and d.deleted_at is null and (d.ref is null or d.ref = p.default_branch)`;
const WITH_ITS_PLACE = `trigger_subscriptions s join definitions d on d.id = s.definition_id
  join projects p on p.id = s.project_id join workspaces w on w.id = s.workspace_id`;
const CANDIDATES = `select s.*, p.connection_id, p.external_repository_id, t.decision from ${WITH_ITS_PLACE}
  left join trigger_decisions t on t.event_id = ? and t.pass = ? and t.subscription_id = s.id
  where s.workspace_id = ? and s.source = ? and s.event = ? and s.id > ? and ${STARTS} order by s.id limit ?`;
/** Of the same project only, and of the workflow that they name. */
const CANDIDATES_OF_RUN_END = `select s.*, p.connection_id, p.external_repository_id, t.decision from ${WITH_ITS_PLACE}
  left join trigger_decisions t on t.event_id = ? and t.pass = ? and t.subscription_id = s.id
  where s.workspace_id = ? and s.source = '${WORKFLOW_SOURCE}' and s.event in (?, '${ANY_RUN_END}') and s.id > ? and ${STARTS}
    and p.connection_id = ? and p.external_repository_id = ? and s.workflow in (?, ?) order by s.id limit ?`;
const WANTED = `select 1 as found from runs r join definitions n on n.id = r.definition_id
  join trigger_subscriptions s on s.workspace_id = r.workspace_id and s.source = '${WORKFLOW_SOURCE}'
    and s.event in (r.status, '${ANY_RUN_END}') and s.project_id = r.project_id and s.workflow in (r.workflow_name, n.config_path)
  where r.id = ? limit 1`;
const DUE = `select s.*, case when ${STARTS} then 1 else 0 end as starts from ${WITH_ITS_PLACE}
  where s.next_fire_at <= ? order by s.next_fire_at, s.id limit ?`;

export function subscriptionsOf(tx: Tx, definitionId: string): Promise<TriggerSubscriptionRow[]> {
  return tx.all("select * from trigger_subscriptions where definition_id = ? order by trigger_key", [definitionId]);
}

export async function upsertSubscription(tx: WriteTx, row: TriggerSubscriptionRow): Promise<void> {
  await tx.run(
    UPSERT,
    COLUMNS.map((column) => row[column]),
  );
}

export async function deleteSubscriptions(tx: WriteTx, ids: readonly string[]): Promise<void> {
  for (const id of ids) await tx.run("delete from trigger_subscriptions where id = ?", [id]);
}

/** A subscription with the repository of its project. */
export type Candidate = TriggerSubscriptionRow & {
  readonly connection_id: string;
  readonly external_repository_id: string;
  /** What it made of the event in this pass; null when it has not been asked, or said no. */
  readonly decision: Decision | null;
};

/** Those that name the source and the event and may start runs; in order of their ids, after one of them. */
export function candidatesOf(
  tx: Tx,
  event: TriggerEventRow,
  { after, limit }: { after: string; limit: number },
): Promise<Candidate[]> {
  const { id, pass, workspace_id, source, event: name } = event;
  if (event.origin === WORKFLOW_SOURCE) {
    const { workflow } = JSON.parse(event.payload ?? "{}") as EndedRun["payload"];
    const repository = [event.connection_id, event.repository_id];
    const params = [id, pass, workspace_id, name, after, ...repository, workflow.name, workflow.path, limit];
    return tx.all<Candidate>(CANDIDATES_OF_RUN_END, params);
  }
  return tx.all<Candidate>(CANDIDATES, [id, pass, workspace_id, source, name, after, limit]);
}

/** Whether a trigger names the workflow of a run that has ended, and how it ended. */
export async function isRunEndWanted(tx: Tx, runId: string): Promise<boolean> {
  return (await tx.get(WANTED, [runId])) !== undefined;
}

/** The file of its workflow, and those that it calls; null when the subscription was saved anew, or removed, since it was read. */
export async function filesOf(tx: Tx, subscription: TriggerSubscriptionRow): Promise<string | null> {
  if (!(await isUnchanged(tx, subscription))) return null;
  const sql = "select yaml, called_files from definitions where id = ?";
  const row = await tx.get<Pick<DefinitionRow, "yaml" | "called_files">>(sql, [subscription.definition_id]);
  return row ? row.yaml + (row.called_files ?? "") : null;
}

/** False when it was saved anew, or removed, since it was read. */
export async function isUnchanged(tx: Tx, { id, updated_at }: TriggerSubscriptionRow): Promise<boolean> {
  const sql = "select 1 as found from trigger_subscriptions where id = ? and updated_at = ?";
  return (await tx.get(sql, [id, updated_at])) !== undefined;
}

/** Schedules whose time has come, the earliest first; `starts` is 0 for those that let it pass. */
export function dueSchedules(
  tx: Tx,
  now: number,
  limit: number,
): Promise<(TriggerSubscriptionRow & { readonly starts: number })[]> {
  return tx.all(DUE, [now, limit]);
}

export async function nextSchedule(tx: Tx): Promise<number | null> {
  const sql = "select min(next_fire_at) as next from trigger_subscriptions where next_fire_at is not null";
  return (await tx.get<{ next: number | null }>(sql))?.next ?? null;
}

/** False when somebody else moved it on. */
export async function moveOn(
  tx: WriteTx,
  { id, next_fire_at }: TriggerSubscriptionRow,
  next: number | null,
): Promise<boolean> {
  const sql = "update trigger_subscriptions set next_fire_at = ? where id = ? and next_fire_at = ?";
  return (await tx.run(sql, [next, id, next_fire_at])) === 1;
}
