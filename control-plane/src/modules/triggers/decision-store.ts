import { newId } from "@shipfox/shared/ids";
import type { TriggerDecisionRow, TriggerEventRow, TriggerSubscriptionRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { Matcher } from "../runs/public.ts";
import type { Decision } from "./model.ts";

/** Longest text that a decision keeps. Source: the published API. */
const MAX_REASON_CHARS = 2_000;

const INSERT = `insert into trigger_decisions (id, event_id, pass, subscription_kind, subscription_id, subscription_name,
    definition_id, project_id, decision, run_id, reason, created_at)
  values (?, ?, ?, 'trigger', ?, ?, ?, ?, ?, null, ?, ?) on conflict (event_id, pass, subscription_id) do nothing`;
const INSERT_OF_LISTENER = `insert into trigger_decisions (id, event_id, pass, subscription_kind, subscription_id, subscription_name,
    definition_id, project_id, decision, run_id, reason, created_at, workflow_run_id, job_id, matcher_kind, matcher_ordinal)
  values (?, ?, ?, 'listener', ?, ?, null, null, ?, null, ?, ?, ?, ?, ?, ?) on conflict (event_id, pass, subscription_id) do nothing`;
const OF_EVENT = `select d.*, r.name as run_name from trigger_decisions d left join runs r on r.id = d.run_id
  where d.event_id = ? order by d.created_at, d.id`;

/** The id of the decision; null when the subscription decided in this pass before. */
export async function insertDecision(
  tx: WriteTx,
  event: Pick<TriggerEventRow, "id" | "pass">,
  subscription: TriggerSubscriptionRow,
  { decision, reason, now }: { decision: Decision; reason: string | null; now: number },
): Promise<string | null> {
  const id = newId(now);
  const { id: subscriptionId, trigger_key: name, definition_id: definitionId, project_id: projectId } = subscription;
  const values = [id, event.id, event.pass, subscriptionId, name, definitionId, projectId, decision];
  const inserted = await tx.run(INSERT, [...values, reason?.slice(0, MAX_REASON_CHARS) ?? null, now]);
  return inserted === 1 ? id : null;
}

/** False when the trigger of the listening job decided in this pass before. */
export async function insertListenerDecision(
  tx: WriteTx,
  event: Pick<TriggerEventRow, "id" | "pass">,
  { matcher, runId }: { matcher: Matcher; runId: string },
  { decision, reason, now }: { decision: Decision; reason: string | null; now: number },
): Promise<boolean> {
  const { id, job_id: jobId, source, event: name, matcher_kind: kind, matcher_ordinal: ordinal } = matcher;
  const title = `listener ${kind}[${ordinal}] ${source}/${name}`;
  const made = [newId(now), event.id, event.pass, id, title, decision, reason?.slice(0, MAX_REASON_CHARS) ?? null, now];
  return (await tx.run(INSERT_OF_LISTENER, [...made, runId, jobId, kind, ordinal])) === 1;
}

/** The listening jobs that this pass over the event has reached. */
export async function listenersReached(tx: Tx, { id, pass }: Pick<TriggerEventRow, "id" | "pass">): Promise<string[]> {
  const sql = `select distinct job_id from trigger_decisions where event_id = ? and pass = ?
    and job_id is not null and decision <> 'filter-error'`;
  return (await tx.all<{ job_id: string }>(sql, [id, pass])).map((row) => row.job_id);
}

export async function setRun(tx: WriteTx, decisionId: string, runId: string): Promise<void> {
  await tx.run("update trigger_decisions set run_id = ? where id = ?", [runId, decisionId]);
}

export async function decisionsOfPass(tx: Tx, event: Pick<TriggerEventRow, "id" | "pass">): Promise<Decision[]> {
  const sql = "select decision from trigger_decisions where event_id = ? and pass = ?";
  const rows = await tx.all<{ decision: Decision }>(sql, [event.id, event.pass]);
  return rows.map(({ decision }) => decision);
}

export type ShownDecision = TriggerDecisionRow & { readonly run_name: string | null };

/** Of all passes, the oldest first. */
export function decisionsOf(tx: Tx, eventId: string): Promise<ShownDecision[]> {
  return tx.all<ShownDecision>(OF_EVENT, [eventId]);
}
