import type { AuditEvent, AuditEventsQuery } from "@shipfox/shared/api/audit";
import { decodeCursor, pageOf } from "../../http/cursor.ts";
import { build } from "../../store/build.ts";
import type { AuditEventRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";

type ListedEvent = AuditEventRow & { actor_email: string | null };

/** Newest first. `workspaceId` null: the entries of all workspaces and of the server. A filter may have to look far back. */
export async function listAuditEvents(
  store: Store,
  workspaceId: string | null,
  query: AuditEventsQuery,
): Promise<{ audit_events: AuditEvent[]; next_cursor: string | null }> {
  let select = build
    .selectFrom("audit_events as a")
    .leftJoin("users as u", "u.id", "a.actor_user_id")
    .selectAll("a")
    .select("u.email as actor_email");
  if (workspaceId !== null) select = select.where("a.workspace_id", "=", workspaceId);
  if (query.action !== undefined) select = select.where("a.action", "=", query.action);
  if (query.actor_user_id !== undefined) select = select.where("a.actor_user_id", "=", query.actor_user_id);
  if (query.target_type !== undefined) select = select.where("a.target_type", "=", query.target_type);
  if (query.target_id !== undefined) select = select.where("a.target_id", "=", query.target_id);
  if (query.outcome !== undefined) select = select.where("a.outcome", "=", query.outcome);
  if (query.from !== undefined) select = select.where("a.created_at", ">=", query.from);
  if (query.to !== undefined) select = select.where("a.created_at", "<=", query.to);
  if (query.cursor !== undefined) select = select.where("a.id", "<", decodeCursor(query.cursor, ["string"])[0]);
  const { sql, parameters } = select
    .orderBy("a.id", "desc")
    .limit(query.limit + 1)
    .compile();
  const rows = await store.readSlow<ListedEvent>(sql, parameters as string[]);
  const { page, nextCursor } = pageOf(rows, query.limit, (row) => [row.id]);
  return { audit_events: page.map(presentEvent), next_cursor: nextCursor };
}

function presentEvent(row: ListedEvent): AuditEvent {
  return {
    id: row.id,
    created_at: new Date(row.created_at).toISOString(),
    workspace_id: row.workspace_id,
    actor: {
      type: row.actor_type,
      user_id: row.actor_user_id,
      email: row.actor_email,
      token_id: row.actor_token_id,
    },
    action: row.action,
    outcome: row.outcome,
    target: { type: row.target_type, id: row.target_id, name: row.target_name },
    ip: row.ip,
    user_agent: row.user_agent,
    request_id: row.request_id,
    details: JSON.parse(row.details) as AuditEvent["details"],
  };
}
