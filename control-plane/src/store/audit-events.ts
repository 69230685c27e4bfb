import { newId } from "@shipfox/shared/ids";
import type { AuditActor, AuditEntry, SqlValue } from "./store.ts";

export const INSERT_AUDIT_EVENT = `insert into audit_events
  (id, workspace_id, actor_type, actor_user_id, actor_token_id, action, outcome, target_type, target_id, target_name, ip, user_agent, request_id, details, created_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;

/** Longest stored header of a client, in characters. */
const MAX_USER_AGENT_CHARS = 256;

export function auditEventRow(actor: AuditActor, entry: AuditEntry): SqlValue[] {
  const { origin } = actor;
  return [
    newId(origin.at),
    entry.workspaceId,
    actorType(actor),
    actor.userId,
    actor.token?.id ?? null,
    entry.action,
    entry.outcome ?? "done",
    entry.target.type,
    entry.target.id,
    entry.target.name ?? null,
    origin.ip,
    origin.userAgent?.slice(0, MAX_USER_AGENT_CHARS).replaceAll("\0", "") ?? null,
    origin.requestId,
    JSON.stringify(entry.details ?? {}),
    origin.at,
  ];
}

function actorType({ userId, token, runnerId }: AuditActor): string {
  if (runnerId !== undefined) return "runner";
  if (token) return "access_token";
  return userId === null ? "anonymous" : "user";
}
