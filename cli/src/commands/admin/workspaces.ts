import { type AdminWorkspace, adminWorkspacesQuerySchema } from "@shipfox/shared/api/admin";
import { type Command, Option } from "commander";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../../command-context.ts";
import { confirm } from "../../confirm.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../../paging.ts";
import { renderFacts } from "../../render/facts.ts";
import { plainText } from "../../render/plain-text.ts";
import { inStatusColor } from "../../render/status.ts";
import { renderTable } from "../../render/table.ts";
import { age } from "../../render/time.ts";
import { openSession } from "../../session.ts";
import { chooseAnyWorkspace } from "./choose.ts";
import { asChange, type ChangeOptions, type ReasonOption, requireReason, withReason } from "./reason.ts";

const STATUSES = adminWorkspacesQuerySchema.shape.status.unwrap().options;
const WORKSPACE = "slug or id";

interface ListOptions extends PagingOptions {
  search?: string;
  status?: AdminWorkspace["status"];
}

export function registerAdminWorkspaces(admin: Command, context: CommandContext): void {
  const workspaces = withExamples(
    admin.command("workspaces").description("the workspaces of the server, from outside"),
    "shipfox admin workspaces list",
    'shipfox admin workspaces suspend web --reason "unpaid"',
  );
  finishCommand(
    withPaging(workspaces.command("list").description("list workspaces, newest first"))
      .option("--search <text>", "only with this in the name or slug")
      .addOption(new Option("--status <status>", "only in this state").choices([...STATUSES]))
      .action((options: ListOptions) => listWorkspaces(context, options)),
    "shipfox admin workspaces list",
    "shipfox admin workspaces list --search web --status suspended",
  );
  finishCommand(
    workspaces
      .command("show")
      .description("show one workspace")
      .argument("<workspace>", WORKSPACE)
      .action((reference: string, options: JsonOption) => showWorkspace(context, reference, options)),
    "shipfox admin workspaces show web",
  );
  finishCommand(
    asChange(
      workspaces
        .command("suspend")
        .description("shut a workspace: nothing starts there, jobs that run go on to their end"),
    )
      .argument("<workspace>", WORKSPACE)
      .action((reference: string, options: ChangeOptions) => suspend(context, reference, options)),
    'shipfox admin workspaces suspend web --reason "unpaid"',
    'shipfox admin workspaces suspend web --reason "unpaid" --yes',
  );
  finishCommand(
    withReason(workspaces.command("reactivate").description("open a suspended workspace again"))
      .argument("<workspace>", WORKSPACE)
      .action((reference: string, options: JsonOption & ReasonOption) => reactivate(context, reference, options)),
    "shipfox admin workspaces reactivate web",
  );
}

async function listWorkspaces(context: CommandContext, options: ListOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { search, status } = options;
  const { rows: workspaces, next } = await readPages(options, async (page) => {
    const reply = await api.admin.workspaces({ search, status, ...page });
    return { rows: reply.workspaces, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { workspaces, next_cursor: next },
    text: () => (workspaces.length === 0 ? "The server has no such workspace." : workspaceTable(context, workspaces)),
  });
  tellMore(context, options, next);
}

function workspaceTable({ terminal }: CommandContext, workspaces: readonly AdminWorkspace[]): string {
  return renderTable(
    terminal,
    [
      { head: "SLUG", text: (workspace) => workspace.slug },
      { head: "NAME", text: (workspace) => workspace.name, flex: true },
      {
        head: "STATUS",
        text: (workspace) => workspace.status,
        style: (text) => inStatusColor(text, text, terminal.colors),
      },
      { head: "MEMBERS", text: (workspace) => String(workspace.members) },
      { head: "PROJECTS", text: (workspace) => String(workspace.projects) },
      { head: "CREATED", text: (workspace) => age(workspace.created_at) },
      { head: "ID", text: (workspace) => workspace.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    workspaces,
  );
}

async function showWorkspace(context: CommandContext, reference: string, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseAnyWorkspace(api, reference);
  await printResult(context, options, {
    document: workspace,
    text: () =>
      renderFacts(context.terminal, [
        ["slug", workspace.slug],
        ["name", workspace.name],
        ["status", workspace.status],
        ["members", String(workspace.members)],
        ["projects", String(workspace.projects)],
        ["created", workspace.created_at],
        ["changed", workspace.updated_at],
        ["id", workspace.id],
      ]),
  });
}

async function suspend(context: CommandContext, reference: string, options: ChangeOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { id, slug, members } = await chooseAnyWorkspace(api, reference);
  const reason = await requireReason(context, options);
  await confirm(context, options, `Shut the workspace ${slug} for its ${members} member(s)?`);
  const changed = await api.admin.suspendWorkspace({ workspaceId: id, reason });
  await printResult(context, options, {
    document: changed,
    text: () =>
      `✓ The workspace ${slug} is suspended: nothing starts there, jobs that run go on to their end.\n` +
      nextLine(context, `shipfox admin workspaces reactivate ${slug}`),
  });
}

async function reactivate(
  context: CommandContext,
  reference: string,
  { reason, ...options }: JsonOption & ReasonOption,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { id, slug } = await chooseAnyWorkspace(api, reference);
  const changed = await api.admin.reactivateWorkspace({ workspaceId: id, reason });
  await printResult(context, options, {
    document: changed,
    text: () => `✓ The workspace ${plainText(slug)} is open again.`,
  });
}
