import { build } from "../../store/build.ts";
import type { RunEventRow, WebhookDeliveryRow, WebhookRow } from "../../store/schema.ts";
import type { SqlValue, Tx, WriteTx } from "../../store/store.ts";

const INSERT = `insert into webhooks (id, workspace_id, name, url, events, status, disabled_reason, sealed_secrets,
  last_event, failing_since, created_by, created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
const UPDATE = `update webhooks set name = ?, url = ?, events = ?, status = ?, disabled_reason = ?, sealed_secrets = ?,
  last_event = ?, failing_since = ?, updated_at = ? where id = ?`;
const LAGGING = `select w.id from webhooks w join workspaces s on s.id = w.workspace_id
  where w.status = 'active' and s.status = 'active' and w.last_event < s.last_event order by w.id`;
const INSERT_DELIVERY = `insert into webhook_deliveries (id, webhook_id, event_id, event_type, body, status, attempts, due_at,
    created_at) values (?, ?, ?, ?, ?, 'pending', 0, ?, ?) on conflict (webhook_id, event_id) do nothing`;
const WITH_DUE = `select w.* from webhooks w join workspaces s on s.id = w.workspace_id
  where w.status = 'active' and s.status = 'active'
  and exists (select 1 from webhook_deliveries d where d.webhook_id = w.id and d.due_at <= ?) order by w.id`;
const END_ATTEMPT = `update webhook_deliveries set status = ?, due_at = ?, last_attempt_at = ?, response_status = ?,
    response_excerpt = ?, duration_ms = ?, error = ?, finished_at = ?
  where id = ? and status = 'pending' and due_at = ?`;
const NEXT_DUE = `select min(d.due_at) as due_at from webhook_deliveries d join webhooks w on w.id = d.webhook_id
  where d.due_at > ? and w.status = 'active'`;
const DELETE_OLD = `delete from webhook_deliveries where id in
  (select id from webhook_deliveries where created_at <= ? order by created_at limit ?)`;
/** All but the body. */
const LISTED = [
  ...(["id", "webhook_id", "event_id", "event_type", "status", "attempts", "due_at", "last_attempt_at"] as const),
  ...(["response_status", "response_excerpt", "duration_ms", "error", "created_at", "finished_at"] as const),
];

export function eventsOf(row: Pick<WebhookRow, "events">): string[] {
  return JSON.parse(row.events) as string[];
}

export async function insertWebhook(tx: WriteTx, row: WebhookRow): Promise<void> {
  const values: SqlValue[] = [row.id, row.workspace_id, row.name, row.url, row.events, row.status, row.disabled_reason];
  values.push(row.sealed_secrets, row.last_event, row.failing_since, row.created_by, row.created_at, row.updated_at);
  await tx.run(INSERT, values);
}

export async function updateWebhook(tx: WriteTx, row: WebhookRow): Promise<void> {
  const values: SqlValue[] = [row.name, row.url, row.events, row.status, row.disabled_reason, row.sealed_secrets];
  await tx.run(UPDATE, [...values, row.last_event, row.failing_since, row.updated_at, row.id]);
}

/** `lock` is the dialect's `forUpdate` when the row is to be changed, else empty. */
export function findWebhook(tx: Tx, webhookId: string, lock = ""): Promise<WebhookRow | undefined> {
  return tx.get<WebhookRow>(`select * from webhooks where id = ?${lock}`, [webhookId]);
}

export function listWebhooks(tx: Tx, workspaceId: string): Promise<WebhookRow[]> {
  const sql = "select * from webhooks where workspace_id = ? order by created_at, id";
  return tx.all<WebhookRow>(sql, [workspaceId]);
}

export async function countWebhooks(tx: Tx, workspaceId: string): Promise<number> {
  const sql = "select count(*) as count from webhooks where workspace_id = ?";
  return (await tx.get<{ count: number }>(sql, [workspaceId]))?.count ?? 0;
}

export async function deleteWebhook(tx: WriteTx, webhookId: string): Promise<void> {
  await tx.run("delete from webhooks where id = ?", [webhookId]);
}

/** The number of the newest run event of a workspace. */
export async function lastEventOf(tx: Tx, workspaceId: string): Promise<number> {
  const row = await tx.get<{ last_event: number }>("select last_event from workspaces where id = ?", [workspaceId]);
  return row?.last_event ?? 0;
}

export async function activeWorkspaces(tx: Tx): Promise<string[]> {
  const sql = "select distinct workspace_id from webhooks where status = 'active'";
  return (await tx.all<{ workspace_id: string }>(sql)).map((row) => row.workspace_id);
}

/** Active webhooks whose workspace is active too and has run events that they have not been given yet. */
export async function laggingWebhooks(tx: Tx): Promise<string[]> {
  return (await tx.all<{ id: string }>(LAGGING)).map((row) => row.id);
}

/** Run events of these types with a number after `after`, up to `to`. */
export function runEventsBetween(
  tx: Tx,
  workspaceId: string,
  types: readonly string[],
  after: number,
  to: number,
): Promise<RunEventRow[]> {
  return tx.rows<RunEventRow>(
    build
      .selectFrom("run_events")
      .selectAll()
      .where("workspace_id", "=", workspaceId)
      .where("id", ">", after)
      .where("id", "<=", to)
      .where("type", "in", types)
      .orderBy("id"),
  );
}

export async function countWaiting(tx: Tx, webhookId: string): Promise<number> {
  const sql = "select count(*) as count from webhook_deliveries where webhook_id = ? and due_at is not null";
  return (await tx.get<{ count: number }>(sql, [webhookId]))?.count ?? 0;
}

export type NewDelivery = Pick<
  WebhookDeliveryRow,
  "id" | "webhook_id" | "event_id" | "event_type" | "body" | "due_at" | "created_at"
>;

/** Changes nothing when the webhook has this event already. */
export async function insertDelivery(tx: WriteTx, row: NewDelivery): Promise<void> {
  const values: SqlValue[] = [row.id, row.webhook_id, row.event_id, row.event_type, row.body, row.due_at];
  await tx.run(INSERT_DELIVERY, [...values, row.created_at]);
}

export async function moveCursor(tx: WriteTx, webhookId: string, lastEvent: number): Promise<void> {
  await tx.run("update webhooks set last_event = ? where id = ?", [lastEvent, webhookId]);
}

/** Active webhooks of active workspaces that have deliveries to be sent by `now`. */
export function webhooksWithDue(tx: Tx, now: number): Promise<WebhookRow[]> {
  return tx.all<WebhookRow>(WITH_DUE, [now]);
}

/** Takes up to `limit` due deliveries of a webhook for an attempt; until `lostAt` nobody else will. */
export async function claimDue(
  tx: WriteTx,
  webhookId: string,
  { now, lostAt, limit, lock }: { now: number; lostAt: number; limit: number; lock: string },
): Promise<WebhookDeliveryRow[]> {
  const sql = `select * from webhook_deliveries where webhook_id = ? and due_at <= ? order by due_at, id limit ?${lock}`;
  const due = await tx.all<WebhookDeliveryRow>(sql, [webhookId, now, limit]);
  for (const row of due) {
    await tx.run("update webhook_deliveries set due_at = ?, attempts = attempts + 1 where id = ?", [lostAt, row.id]);
  }
  return due.map((row) => ({ ...row, due_at: lostAt, attempts: row.attempts + 1 }));
}

export interface EndedAttempt {
  readonly status: string;
  readonly dueAt: number | null;
  readonly at: number;
  readonly responseStatus: number | null;
  readonly responseExcerpt: string | null;
  readonly durationMs: number;
  readonly error: string | null;
}

/** False when the delivery was taken anew meanwhile: what this attempt did no longer counts. */
export async function endAttempt(
  tx: WriteTx,
  deliveryId: string,
  lostAt: number,
  { status, dueAt, at, responseStatus, responseExcerpt, durationMs, error }: EndedAttempt,
): Promise<boolean> {
  const values = [status, dueAt, at, responseStatus, responseExcerpt, durationMs, error, dueAt === null ? at : null];
  return (await tx.run(END_ATTEMPT, [...values, deliveryId, lostAt])) === 1;
}

/** Hands an attempt back that was broken off: it does not count. */
export async function giveBack(tx: WriteTx, deliveryId: string, lostAt: number, now: number): Promise<void> {
  const sql = "update webhook_deliveries set due_at = ?, attempts = attempts - 1 where id = ? and due_at = ?";
  await tx.run(sql, [now, deliveryId, lostAt]);
}

export async function setFailingSince(tx: WriteTx, webhookId: string, at: number | null): Promise<void> {
  await tx.run("update webhooks set failing_since = ? where id = ?", [at, webhookId]);
}

/** When the next delivery becomes due after `now`; null when none is planned. */
export async function nextDueAfter(tx: Tx, now: number): Promise<number | null> {
  return (await tx.get<{ due_at: number | null }>(NEXT_DUE, [now]))?.due_at ?? null;
}

export type ListedDelivery = Omit<WebhookDeliveryRow, "body">;

/** Newest first; `before` is the last row of the page before. */
export function listDeliveries(
  tx: Tx,
  webhookId: string,
  filter: { status: string | undefined; before: readonly [createdAt: number, id: string] | null; limit: number },
): Promise<ListedDelivery[]> {
  let select = build
    .selectFrom("webhook_deliveries")
    .select(LISTED)
    .where("webhook_id", "=", webhookId)
    .orderBy("created_at", "desc")
    .orderBy("id", "desc")
    .limit(filter.limit);
  if (filter.status !== undefined) select = select.where("status", "=", filter.status);
  if (filter.before !== null) {
    const [createdAt, id] = filter.before;
    select = select.where((e) =>
      e.or([e("created_at", "<", createdAt), e.and([e("created_at", "=", createdAt), e("id", "<", id)])]),
    );
  }
  return tx.rows<ListedDelivery>(select);
}

/** Undefined when the webhook has no such delivery. */
export function findDelivery(tx: Tx, webhookId: string, deliveryId: string): Promise<WebhookDeliveryRow | undefined> {
  const sql = "select * from webhook_deliveries where id = ? and webhook_id = ?";
  return tx.get<WebhookDeliveryRow>(sql, [deliveryId, webhookId]);
}

/** Plans a delivery anew, as if it had never been tried. */
export async function restartDelivery(tx: WriteTx, deliveryId: string, now: number): Promise<void> {
  const sql = `update webhook_deliveries set status = 'pending', attempts = 0, due_at = ?, finished_at = null where id = ?`;
  await tx.run(sql, [now, deliveryId]);
}

/** The number of deliveries deleted. */
export function deleteCreatedUntil(tx: WriteTx, until: number, limit: number): Promise<number> {
  return tx.run(DELETE_OLD, [until, limit]);
}

export async function oldestCreatedAt(tx: Tx): Promise<number | null> {
  const row = await tx.get<{ oldest: number | null }>("select min(created_at) as oldest from webhook_deliveries");
  return row?.oldest ?? null;
}
