import type { Client } from "@shipfox/client";
import type { Annotation } from "@shipfox/shared/api/annotations";
import { type Run, type RunListItem, runStatusSchema } from "@shipfox/shared/api/runs";
import { type Command, Option } from "commander";
import { withProject } from "../choose-scope.ts";
import { allDefinitions, chooseDefinition, chooseProject, chooseRun, type Scope } from "../choose.ts";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../command-context.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../paging.ts";
import { millisecondsBetween } from "../plan-output.ts";
import { plainText } from "../render/plain-text.ts";
import { renderRun } from "../render/run.ts";
import { inStatusColor, statusSymbol } from "../render/status.ts";
import { renderTable } from "../render/table.ts";
import { age, duration } from "../render/time.ts";
import { openSession } from "../session.ts";
import { watchRun } from "./watch-run.ts";

const RUN_ARGUMENT = "id, number, or workflow and number such as ci#7";
const MAX_READ_ANNOTATIONS = 2_000;

interface ListOptions extends PagingOptions, Scope {
  status?: Run["status"];
  workflow?: string;
}
type RunOptions = JsonOption & Scope;
type CancelOptions = RunOptions & { force?: true };
type RerunOptions = RunOptions & { failed?: true; follow?: true };

export function registerRuns(program: Command, context: CommandContext): void {
  const runs = withExamples(
    program.command("runs").description("list, view, watch, cancel and rerun runs"),
    "shipfox runs list",
    "shipfox runs view 7",
    "shipfox runs watch 7",
    "shipfox runs cancel 7",
    "shipfox runs rerun 7 --failed",
  );
  finishCommand(
    withPaging(withProject(runs.command("list").description("list the newest runs of a project")))
      .addOption(new Option("--status <status>", "only runs in this state").choices([...runStatusSchema.options]))
      .option("--workflow <workflow>", "only runs of this workflow")
      .action((options: ListOptions) => listRuns(context, options)),
    "shipfox runs list",
    "shipfox runs list --project shop --workflow ci --status failed -n 5",
  );
  finishCommand(
    withProject(
      runs.command("view").description("show the jobs, steps and annotations of a run").argument("<run>", RUN_ARGUMENT),
    ).action((run: string, options: RunOptions) => viewRun(context, run, options)),
    "shipfox runs view 01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11",
    "shipfox runs view ci#7",
    "shipfox runs view 7 --project shop --json",
  );
  finishCommand(
    withProject(
      runs
        .command("watch")
        .description("show a run live until it ends; exit 0 succeeded, 1 failed, 2 cancelled")
        .argument("<run>", RUN_ARGUMENT),
    ).action((run: string, options: RunOptions) => watch(context, run, options)),
    "shipfox runs watch 7",
    "shipfox runs watch ci#7 --project shop",
    "shipfox runs watch ci#7 --json | jq -r 'select(.type == \"step\")'",
  );
  finishCommand(
    withProject(runs.command("cancel").description("cancel a run").argument("<run>", RUN_ARGUMENT))
      .option("--force", "kill the steps at once, also of a run that is already being cancelled")
      .action((run: string, options: CancelOptions) => cancelRun(context, run, options)),
    "shipfox runs cancel 01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11",
    "shipfox runs cancel 7 --force",
  );
  finishCommand(
    withProject(runs.command("rerun").description("run a run again that has ended").argument("<run>", RUN_ARGUMENT))
      .option("--failed", "keep the jobs that succeeded, run all others again")
      .option("-f, --follow", "show jobs, steps and logs until the run ends; exit 0 succeeded, 1 failed, 2 cancelled")
      .action((run: string, options: RerunOptions) => rerunRun(context, run, options)),
    "shipfox runs rerun 7",
    "shipfox runs rerun ci#7 --failed --follow",
  );
}

async function listRuns(context: CommandContext, options: ListOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const project = await chooseProject(api, options);
  const definition =
    options.workflow === undefined
      ? undefined
      : chooseDefinition(await allDefinitions(api, project.id), options.workflow);
  const filter = { project_id: project.id, status: options.status, definition_id: definition?.id };
  const { rows: runs, next: next_cursor } = await readPages(options, async (page) => {
    const reply = await api.runs.list({ ...filter, ...page });
    return { rows: reply.runs, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { runs, next_cursor },
    text: () => (runs.length === 0 ? noRuns(context, project.slug, options) : runTable(context, runs)),
  });
  tellMore(context, options, next_cursor);
}

function noRuns(context: CommandContext, project: string, { status, workflow }: ListOptions): string {
  const isFiltered = status !== undefined || workflow !== undefined;
  const next = isFiltered ? "shipfox runs list" : "shipfox run <workflow> --follow";
  return `${project} has no ${isFiltered ? "such run" : "run yet"}.\n${nextLine(context, next)}`;
}

function runTable(context: CommandContext, runs: readonly RunListItem[]): string {
  const { terminal } = context;
  return renderTable(
    terminal,
    [
      {
        head: "STATUS",
        text: (run) => run.status,
        style: (text, run) => inStatusColor(run.status, text, terminal.colors),
      },
      { head: "RUN", text: (run) => `#${run.number}` },
      { head: "WORKFLOW", text: (run) => run.name, flex: true },
      { head: "TRIGGER", text: (run) => run.trigger_source },
      { head: "CREATED", text: (run) => age(run.created_at) },
      { head: "TOOK", text: (run) => duration(millisecondsBetween(run.started_at, run.finished_at)) },
      { head: "ID", text: (run) => run.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    runs,
  );
}

async function viewRun(context: CommandContext, reference: string, options: RunOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const run = await api.runs.get({ id: await chooseRun(api, reference, options) });
  const annotations = await readAnnotations(api, run.id, run.run_attempt.attempt);
  await printResult(context, options, {
    document: { ...run, annotations },
    text: () => renderRun(run, annotations, context.terminal.colors),
  });
}

async function readAnnotations(api: Client, runId: string, attempt: number): Promise<Annotation[]> {
  const annotations: Annotation[] = [];
  for await (const annotation of api.annotations.list.items({ workflow_run_id: runId, attempt })) {
    annotations.push(annotation);
    if (annotations.length === MAX_READ_ANNOTATIONS) break;
  }
  return annotations;
}

async function watch(context: CommandContext, reference: string, options: RunOptions): Promise<void> {
  const { api } = await openSession(context.env);
  context.exitCode = await watchRun(context, options, { api, runId: await chooseRun(api, reference, options) });
}

async function cancelRun(context: CommandContext, reference: string, options: CancelOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const run = await api.runs.cancel({
    id: await chooseRun(api, reference, options),
    ...(options.force ? { force: true } : {}),
  });
  const { colors } = context.terminal;
  await printResult(context, options, {
    document: run,
    text: () =>
      `${statusSymbol(run.status, colors)} Cancelled ${plainText(run.name)} #${run.number}.\n` +
      nextLine(context, `shipfox runs view ${run.id}`),
  });
}

async function rerunRun(context: CommandContext, reference: string, options: RerunOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const runId = await chooseRun(api, reference, options);
  const run = await api.runs.rerun({ id: runId, mode: options.failed ? "failed" : "all" });
  if (options.follow) {
    context.exitCode = await watchRun(context, options, { api, runId });
    return;
  }
  await printResult(context, options, {
    document: run,
    text: () =>
      `${context.terminal.colors.green("✓")} Attempt ${run.current_attempt} of ${plainText(run.name)} #${run.number} begins.\n` +
      nextLine(context, `shipfox runs watch ${run.id}`),
  });
}
