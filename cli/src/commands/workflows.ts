import type { Definition } from "@shipfox/shared/api/definitions";
import type { Command } from "commander";
import { type ScopeOptions, withWorkspace } from "../choose-scope.ts";
import { chooseProject, chooseWorkspace } from "../choose.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../paging.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";

type ListOptions = ScopeOptions & PagingOptions;

export function registerWorkflows(program: Command, context: CommandContext): void {
  const workflows = withExamples(
    program.command("workflows").description("the workflows of a workspace or a project"),
    "shipfox workflows list",
  );
  finishCommand(
    withPaging(withWorkspace(workflows.command("list").description("list workflows, by name")))
      .option("-p, --project <project>", "only those of this project: slug or id")
      .action((options: ListOptions) => listWorkflows(context, options)),
    "shipfox workflows list",
    "shipfox workflows list --project shop --json",
  );
}

async function listWorkflows(context: CommandContext, options: ListOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const scope =
    options.project === undefined
      ? { workspace_id: (await chooseWorkspace(api, options.workspace)).workspace_id }
      : { project_id: (await chooseProject(api, options)).id };
  const { rows: definitions, next: next_cursor } = await readPages(options, async (page) => {
    const reply = await api.definitions.list({ ...scope, ...page });
    return { rows: reply.definitions, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { definitions, next_cursor },
    text: () =>
      definitions.length === 0
        ? `There is no workflow yet.\n${nextLine(context, "shipfox projects sync")}`
        : workflowTable(context, definitions),
  });
  tellMore(context, options, next_cursor);
}

function workflowTable({ terminal }: CommandContext, definitions: readonly Definition[]): string {
  return renderTable(
    terminal,
    [
      { head: "WORKFLOW", text: (definition) => definition.name, flex: true },
      { head: "FILE", text: (definition) => definition.config_path ?? "-" },
      { head: "BY HAND", text: (definition) => (definition.manual_trigger === null ? "no" : "yes") },
      { head: "REF", text: (definition) => definition.ref ?? "-" },
      { head: "READ", text: (definition) => age(definition.fetched_at) },
      { head: "ID", text: (definition) => definition.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    definitions,
  );
}
