import type { Cache } from "@shipfox/shared/api/artifacts";
import type { Command } from "commander";
import { withProject } from "../choose-scope.ts";
import { chooseProject } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, printResult, withExamples } from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../paging.ts";
import { plainText } from "../render/plain-text.ts";
import { bytes } from "../render/size.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";

interface ProjectOptions {
  workspace?: string;
  project?: string;
}
interface DeleteOptions extends ProjectOptions, ConfirmOptions {
  key?: string;
  ref?: string;
  all?: true;
}

export function registerCaches(program: Command, context: CommandContext): void {
  const caches = withExamples(
    program.command("caches").description("list and delete what jobs of a project keep for later runs"),
    "shipfox caches list",
    "shipfox caches delete --key npm-1",
  );
  finishCommand(
    withPaging(withProject(caches.command("list").description("list the newest caches of a project"))).action(
      (options: ProjectOptions & PagingOptions) => listCaches(context, options),
    ),
    "shipfox caches list",
    "shipfox caches list --project shop --json",
  );
  finishCommand(
    withYesOnTerminal(withProject(caches.command("delete").description("delete caches of a project")))
      .option("--key <key>", "those with this key")
      .option("--ref <ref>", "those of this ref, as refs/heads/main")
      .option("--all", "all of them")
      .action((options: DeleteOptions) => deleteCaches(context, options)),
    "shipfox caches delete --key npm-1",
    "shipfox caches delete --ref refs/heads/next",
    "shipfox caches delete --all --project shop",
  );
}

async function listCaches(context: CommandContext, options: ProjectOptions & PagingOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const project = await chooseProject(api, options);
  const { rows: caches, next: next_cursor } = await readPages(options, async (page) => {
    const reply = await api.caches.list({ projectId: project.id, ...page });
    return { rows: reply.caches, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { caches, next_cursor },
    text: () => (caches.length === 0 ? `${plainText(project.slug)} has no caches.` : cacheTable(context, caches)),
  });
  tellMore(context, options, next_cursor);
}

function cacheTable({ terminal }: CommandContext, caches: readonly Cache[]): string {
  return renderTable(
    terminal,
    [
      { head: "KEY", text: ({ key }) => key, flex: true },
      { head: "REF", text: ({ ref }) => ref.replace(/^refs\/heads\//, "") },
      { head: "SIZE", text: ({ size }) => bytes(size) },
      { head: "USED", text: ({ used_at }) => age(used_at) },
      { head: "CREATED", text: ({ created_at }) => age(created_at) },
    ],
    caches,
  );
}

async function deleteCaches(context: CommandContext, options: DeleteOptions): Promise<void> {
  const { key, ref, all } = options;
  if (key === undefined && ref === undefined && !all)
    throw usageError("Say which: --key <key>, --ref <ref>, or --all.", "shipfox caches list");
  const { api } = await openSession(context.env);
  const project = await chooseProject(api, options);
  await confirmOnTerminal(
    context,
    options,
    `Delete ${all ? "all caches" : "these caches"} of ${plainText(project.slug)}?`,
  );
  let deleted = 0;
  for (let more = -1; more !== 0; deleted += more) {
    more = (await api.caches.remove({ projectId: project.id, key, ref })).deleted;
  }
  await printResult(context, options, {
    document: { deleted },
    text: () => `✓ Deleted ${deleted} ${deleted === 1 ? "cache" : "caches"} of ${plainText(project.slug)}.`,
  });
}
