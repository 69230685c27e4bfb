import { isId } from "@shipfox/shared/ids";
import type { Command } from "commander";
import { type AuditOptions, printAuditLog, withAuditFilters } from "../../audit-log.ts";
import { type CommandContext, finishCommand } from "../../command-context.ts";
import { openSession } from "../../session.ts";
import { chooseUser } from "./choose.ts";

export function registerAdminAudit(admin: Command, context: CommandContext): void {
  const description = "who did what in all workspaces and on the server itself, newest first";
  finishCommand(
    withAuditFilters(admin.command("audit").description(description)).action((options: AuditOptions) =>
      showAuditLog(context, options),
    ),
    "shipfox admin audit",
    "shipfox admin audit --outcome failed --from 24h",
  );
}

async function showAuditLog(context: CommandContext, options: AuditOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { actor } = options;
  const actorId = actor === undefined || isId(actor) ? actor : (await chooseUser(api, actor)).id;
  await printAuditLog(context, api, options, { workspaceId: null, actorId });
}
