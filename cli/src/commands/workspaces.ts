import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseWorkspace } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../command-context.ts";
import { type ConfirmOptions, confirm, withYes } from "../confirm.ts";
import { plainText } from "../render/plain-text.ts";
import { inStatusColor } from "../render/status.ts";
import { renderTable } from "../render/table.ts";
import { DEFAULT, parseRunLimit, type RunLimit, runLimitWords } from "../run-limit.ts";
import { openSession } from "../session.ts";

const WORKSPACE = "slug, id or name";

interface CreateOptions extends JsonOption {
  slug?: string;
}

interface RenameOptions extends WorkspaceOption {
  slug?: string;
}

export function registerWorkspaces(program: Command, context: CommandContext): void {
  const workspaces = withExamples(
    program.command("workspaces").description("list, create, rename, limit, leave and delete workspaces"),
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
  finishCommand(
    withWorkspace(workspaces.command("rename").description("give a workspace another name or slug"))
      .argument("[name]", "name for people")
      .option("--slug <slug>", "name for addresses and options")
      .action((name: string | undefined, options: RenameOptions) => renameWorkspace(context, name, options)),
    'shipfox workspaces rename "Web Team"',
    "shipfox workspaces rename --slug web --workspace my-team",
  );
  finishCommand(
    withWorkspace(workspaces.command("limit").description("set how many runs of a workspace may be going at once"))
      .argument("<count>", `so many, 0 for any number, or ${DEFAULT} for the server's own limit`, parseRunLimit)
      .action((count: RunLimit, options: WorkspaceOption) => limitWorkspace(context, count, options)),
    "shipfox workspaces limit 5",
    `shipfox workspaces limit ${DEFAULT} --workspace web`,
  );
  finishCommand(
    withYes(workspaces.command("leave").description("end your membership, and your access tokens for the workspace"))
      .argument("<workspace>", WORKSPACE)
      .action((reference: string, options: ConfirmOptions) => leaveWorkspace(context, reference, options)),
    "shipfox workspaces leave web",
  );
  finishCommand(
    withYes(
      workspaces.command("delete").description("delete a workspace: its runs are cancelled, its runners shut out"),
    )
      .argument("<workspace>", WORKSPACE)
      .action((reference: string, options: ConfirmOptions) => deleteWorkspace(context, reference, options)),
    "shipfox workspaces delete web",
    "shipfox workspaces delete web --yes",
  );
}

async function listWorkspaces(context: CommandContext, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const { memberships } = await api.workspaces.list();
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
              {
                head: "ID",
                text: (row) => row.workspace_id,
                style: (text) => terminal.colors.dim(text),
                expendable: true,
              },
            ],
            memberships,
          ),
  });
}

async function createWorkspace(context: CommandContext, name: string, options: CreateOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await api.workspaces.create({ name, slug: options.slug });
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

async function renameWorkspace(
  context: CommandContext,
  name: string | undefined,
  options: RenameOptions,
): Promise<void> {
  const { slug } = options;
  if (name === undefined && slug === undefined) {
    throw usageError("Neither a name nor a slug is given.", 'shipfox workspaces rename "New Name"');
  }
  const { api } = await openSession(context.env);
  const { workspace_id } = await chooseWorkspace(api, options.workspace);
  const workspace = await api.workspaces.update({ workspaceId: workspace_id, name, slug });
  await printResult(context, options, {
    document: workspace,
    text: () => `✓ The workspace is called ${plainText(workspace.name)} (${workspace.slug}) now.`,
  });
}

async function limitWorkspace(context: CommandContext, count: RunLimit, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id, workspace_slug } = await chooseWorkspace(api, options.workspace);
  const limits = await api.workspaces.changeLimits({
    workspaceId: workspace_id,
    max_concurrent_runs: count === DEFAULT ? null : count,
  });
  const whose = limits.own ? "its own limit" : "the limit of the server";
  await printResult(context, options, {
    document: limits,
    text: () =>
      `✓ Runs of ${workspace_slug} that may be going at once: ${runLimitWords(limits.max_concurrent_runs)}, ${whose}.\n` +
      nextLine(context, "shipfox usage"),
  });
}

async function leaveWorkspace(context: CommandContext, reference: string, options: ConfirmOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id, workspace_slug } = await chooseWorkspace(api, reference);
  await confirm(context, options, `Leave the workspace ${workspace_slug}?`);
  await api.workspaces.leave({ workspaceId: workspace_id });
  await printResult(context, options, {
    document: { left: workspace_id },
    text: () => `✓ You are no member of ${workspace_slug} any more.`,
  });
}

async function deleteWorkspace(context: CommandContext, reference: string, options: ConfirmOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id, workspace_slug } = await chooseWorkspace(api, reference);
  await confirm(context, options, `Delete the workspace ${workspace_slug}? Nobody can bring it back.`);
  await api.workspaces.delete({ workspaceId: workspace_id });
  await printResult(context, options, {
    document: { deleted: workspace_id },
    text: () => `✓ The workspace ${workspace_slug} is deleted.`,
  });
}
