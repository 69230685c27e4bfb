import type { Connection } from "@shipfox/shared/api/integrations";
import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseWorkspace } from "../choose.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { plainText } from "../render/plain-text.ts";
import { inStatusColor } from "../render/status.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";

export function registerConnections(program: Command, context: CommandContext): void {
  const connections = withExamples(
    program.command("connections").description("the connections of a workspace to git hosts and other services"),
    "shipfox connections list",
  );
  finishCommand(
    withWorkspace(connections.command("list").description("list the connections, without credentials")).action(
      (options: WorkspaceOption) => listConnections(context, options),
    ),
    "shipfox connections list",
    "shipfox connections list --json",
  );
}

async function listConnections(context: CommandContext, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const { connections } = await api.integrations.connections({ workspace_id: workspace.workspace_id });
  await printResult(context, options, {
    document: { connections },
    text: () =>
      connections.length === 0
        ? `${plainText(workspace.workspace_name)} has no connection yet.\n${nextLine(context, "shipfox projects create --repo https://github.com/owner/repo.git")}`
        : connectionTable(context, connections),
  });
}

function connectionTable({ terminal }: CommandContext, connections: readonly Connection[]): string {
  return renderTable(
    terminal,
    [
      { head: "NAME", text: (connection) => connection.display_name, flex: true },
      { head: "SLUG", text: (connection) => connection.slug },
      { head: "PROVIDER", text: (connection) => connection.provider },
      {
        head: "STATUS",
        text: (connection) => connection.lifecycle_status,
        style: (text) => inStatusColor(text, text, terminal.colors),
      },
      { head: "ADDED", text: (connection) => age(connection.created_at) },
      { head: "ID", text: (connection) => connection.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    connections,
  );
}
