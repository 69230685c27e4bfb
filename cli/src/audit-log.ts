import type { Client } from "@shipfox/client";
import { type AuditEvent, auditEventsQuerySchema } from "@shipfox/shared/api/audit";
import { type Command, Option } from "commander";
import { type CommandContext, printResult } from "./command-context.ts";
import { parseMoment } from "./moment.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "./paging.ts";
import { inStatusColor } from "./render/status.ts";
import { renderTable } from "./render/table.ts";
import { utcTime } from "./render/time.ts";

const OUTCOMES = auditEventsQuerySchema.shape.outcome.unwrap().options;

export interface AuditOptions extends PagingOptions {
  action?: string;
  actor?: string;
  targetType?: string;
  target?: string;
  outcome?: AuditEvent["outcome"];
  from?: string;
  to?: string;
}

/** The filters of an audit log, and how much of it. */
export function withAuditFilters(command: Command): Command {
  return withPaging(command)
    .option("--action <action>", "only this action, such as project.created")
    .option("--actor <user>", "only what this user did: e-mail address or id")
    .option("--target-type <type>", "only on objects of this type, such as project")
    .option("--target <id>", "only on the object with this id")
    .addOption(new Option("--outcome <outcome>", "only what ended so").choices([...OUTCOMES]))
    .option("--from <time>", "only since then: RFC 3339, a day, or a duration before now such as 24h", parseMoment)
    .option("--to <time>", "only until then", parseMoment);
}

/** `workspaceId` null: the log of the whole server. `actorId` is that of `--actor`. */
export async function printAuditLog(
  context: CommandContext,
  api: Client,
  options: AuditOptions,
  log: { workspaceId: string | null; actorId: string | undefined },
): Promise<void> {
  const filter = {
    action: options.action,
    actor_user_id: log.actorId,
    target_type: options.targetType,
    target_id: options.target,
    outcome: options.outcome,
    from: options.from,
    to: options.to,
  };
  const { rows, next } = await readPages(options, async (page) => {
    const query = { ...filter, ...page };
    const { workspaceId } = log;
    const reply = await (workspaceId === null ? api.audit.listAll(query) : api.audit.list({ workspaceId, ...query }));
    return { rows: reply.audit_events, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { audit_events: rows, next_cursor: next },
    text: () => (rows.length === 0 ? "The audit log has no such entry." : auditTable(context, rows)),
  });
  tellMore(context, options, next);
}

function auditTable({ terminal }: CommandContext, events: readonly AuditEvent[]): string {
  return renderTable(
    terminal,
    [
      { head: "TIME (UTC)", text: (event) => utcTime(event.created_at) },
      { head: "ACTOR", text: actorOf },
      { head: "ACTION", text: (event) => event.action },
      { head: "TARGET", text: targetOf, flex: true },
      { head: "OUTCOME", text: (event) => event.outcome, style: (text) => inStatusColor(text, text, terminal.colors) },
      { head: "IP", text: (event) => event.ip, style: (text) => terminal.colors.dim(text) },
    ],
    events,
  );
}

/** A person by his address, also behind an access token; everybody else by his kind. */
function actorOf({ actor }: AuditEvent): string {
  const who = actor.email ?? actor.user_id ?? actor.type;
  return actor.type === "access_token" ? `${who} (token)` : who;
}

function targetOf({ target }: AuditEvent): string {
  return [target.type, target.name ?? target.id].filter((part) => part !== null).join(" ");
}
