import type { Client } from "@shipfox/client";
import { isId } from "@shipfox/shared/ids";
import type { Command } from "commander";
import { type AuditOptions, printAuditLog, withAuditFilters } from "../audit-log.ts";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseMember, chooseWorkspace } from "../choose.ts";
import { type CommandContext, finishCommand } from "../command-context.ts";
import { openSession } from "../session.ts";

type Options = AuditOptions & WorkspaceOption;

export function registerAudit(program: Command, context: CommandContext): void {
  finishCommand(
    withAuditFilters(
      withWorkspace(program.command("audit").description("who did what in a workspace, newest first")),
    ).action((options: Options) => showAuditLog(context, options)),
    "shipfox audit",
    "shipfox audit --outcome denied --from 24h",
    "shipfox audit --actor bob@example.com --action secret.set --all --json",
  );
}

async function showAuditLog(context: CommandContext, options: Options): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id: workspaceId } = await chooseWorkspace(api, options.workspace);
  const actorId = options.actor === undefined ? undefined : await idOfActor(api, workspaceId, options.actor);
  await printAuditLog(context, api, options, { workspaceId, actorId });
}

/** Who is no member any more is named by his id. */
async function idOfActor(api: Client, workspaceId: string, reference: string): Promise<string> {
  return isId(reference) ? reference : (await chooseMember(api, workspaceId, reference)).user_id;
}
