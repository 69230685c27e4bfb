import type { Command } from "commander";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../command-context.ts";
import { plainText } from "../render/plain-text.ts";
import { inStatusColor } from "../render/status.ts";
import { renderTable } from "../render/table.ts";
import { openSession } from "../session.ts";

interface CreateOptions extends JsonOption {
  slug?: string;
}

export function registerWorkspaces(program: Command, context: CommandContext): void {
  const workspaces = withExamples(
    program.command("workspaces").description("list and create workspaces"),
    "shipfox workspaces list",
    "shipfox workspaces create my-team",
  );
  finishCommand(
    workspaces
      .command("list")
      .description("list the workspaces you are a member of")
      .action((options: JsonOption) => listWorkspaces(context, options)),
    "shipfox workspaces list",
  );
  finishCommand(
    workspaces
      .command("create")
      .description("create a workspace")
      .argument("<name>", "name for people")
      .option("--slug <slug>", "name for addresses and options (default: made from the name)")
      .action((name: string, options: CreateOptions) => createWorkspace(context, name, options)),
    'shipfox workspaces create "Web Team"',
    'shipfox workspaces create "Web Team" --slug web',
  );
}

async function listWorkspaces(context: CommandContext, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const memberships = await api.workspaces();
  const { terminal } = context;
  await printResult(context, options, {
    document: { memberships },
    text: () =>
      memberships.length === 0
        ? `You are in no workspace yet.\n${nextLine(context, "shipfox workspaces create my-team")}`
        : renderTable(
            terminal,
            [
              { head: "SLUG", text: (row) => row.workspace_slug },
              { head: "NAME", text: (row) => row.workspace_name, flex: true },
              { head: "ROLE", text: (row) => row.role },
              {
                head: "STATUS",
                text: (row) => row.workspace_status,
                style: (text) => inStatusColor(text, text, terminal.colors),
              },
              { head: "ID", text: (row) => row.workspace_id, style: (text) => terminal.colors.dim(text) },
            ],
            memberships,
          ),
  });
}

async function createWorkspace(context: CommandContext, name: string, options: CreateOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await api.createWorkspace({ name, slug: options.slug });
  await printResult(context, options, {
    document: workspace,
    text: () =>
      [
        `${context.terminal.colors.green("✓")} Created the workspace ${plainText(workspace.name)} (${workspace.slug}).`,
        nextLine(context, "shipfox runners add"),
        nextLine(context, "shipfox projects create --repo https://github.com/owner/repo.git"),
      ].join("\n"),
  });
}
