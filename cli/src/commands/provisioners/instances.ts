import type { Client } from "@shipfox/client";
import type { RunnerInstance } from "@shipfox/shared/api/provisioners";
import { isId } from "@shipfox/shared/ids";
import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../../choose-scope.ts";
import { chooseWorkspace, quoteWord } from "../../choose.ts";
import { usageError } from "../../cli-error.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../../confirm.ts";
import { type PagingOptions, readPages, readRows, tellMore, withPaging } from "../../paging.ts";
import { renderFacts } from "../../render/facts.ts";
import { plainText, safeLine } from "../../render/plain-text.ts";
import { inStatusColor, reasonWords } from "../../render/status.ts";
import { renderTable } from "../../render/table.ts";
import { age, utcTime } from "../../render/time.ts";
import { openSession } from "../../session.ts";
import { chooseToken } from "./tokens.ts";

/** A machine that is called by its provider's name is looked for among so many newest instances. */
const SEARCHED_INSTANCES = 1_000;

interface ListOptions extends WorkspaceOption, PagingOptions {
  open?: true;
  provisioner?: string;
}

export function registerInstances(provisioners: Command, context: CommandContext): void {
  const instances = withExamples(
    provisioners.command("instances").description("list, show, drain and terminate what provisioners started"),
    "shipfox provisioners instances list --open",
    "shipfox provisioners instances view i-0a1b2c3d",
  );
  finishCommand(
    withPaging(withWorkspace(instances.command("list").description("list runner instances, newest first")))
      .option("--open", "only those that have not ended")
      .option("--provisioner <token>", "only those that this provisioner started: name, id or prefix of its token")
      .action((options: ListOptions) => listInstances(context, options)),
    "shipfox provisioners instances list",
    "shipfox provisioners instances list --open --provisioner aws",
  );
  finishCommand(
    withWorkspace(instances.command("view").description("show an instance, its history and the last of its console"))
      .argument("<instance>", "id, or what the provider calls the machine")
      .action((reference: string, options: WorkspaceOption) => viewInstance(context, reference, options)),
    "shipfox provisioners instances view i-0a1b2c3d",
  );
  finishCommand(
    withWorkspace(
      instances.command("drain").description("give an instance no job and remove it; a job that it has ends first"),
    )
      .argument("<instance>", "id, or what the provider calls the machine")
      .action((reference: string, options: WorkspaceOption) => drainInstance(context, reference, options)),
    "shipfox provisioners instances drain i-0a1b2c3d",
  );
  finishCommand(
    withYesOnTerminal(
      withWorkspace(
        instances.command("terminate").description("remove an instance now; a job that it has is queued again"),
      ),
    )
      .argument("<instance>", "id, or what the provider calls the machine")
      .action((reference: string, options: WorkspaceOption & ConfirmOptions) =>
        terminateInstance(context, reference, options),
      ),
    "shipfox provisioners instances terminate i-0a1b2c3d",
    "shipfox provisioners instances terminate i-0a1b2c3d --yes",
  );
}

async function listInstances(context: CommandContext, options: ListOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const workspaceId = workspace.workspace_id;
  const provisioner =
    options.provisioner === undefined
      ? undefined
      : chooseToken((await api.provisioners.tokens({ workspaceId })).tokens, options.provisioner).id;
  const { rows, next } = await readPages(options, async (page) => {
    const open = options.open ? "true" : "false";
    const reply = await api.provisioners.instances({ workspaceId, open, provisioner_id: provisioner, ...page });
    return { rows: reply.runner_instances, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { runner_instances: rows, next_cursor: next },
    text: () =>
      rows.length === 0
        ? `${plainText(workspace.workspace_name)} has no such runner instance.\n${nextLine(context, "shipfox provisioners list")}`
        : instanceTable(context, rows),
  });
  tellMore(context, options, next);
}

function instanceTable({ terminal }: CommandContext, rows: readonly RunnerInstance[]): string {
  return renderTable(
    terminal,
    [
      { head: "STATE", text: stateOf, style: (text, { state }) => inStatusColor(state, text, terminal.colors) },
      { head: "TEMPLATE", text: (row) => row.template_key },
      { head: "MACHINE", text: (row) => row.provider_runner_id ?? "-" },
      { head: "REASON", text: reasonOf, flex: true },
      { head: "CREATED", text: (row) => age(row.created_at) },
      { head: "ID", text: (row) => row.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    rows,
  );
}

async function viewInstance(context: CommandContext, reference: string, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id: workspaceId } = await chooseWorkspace(api, options.workspace);
  const instanceId = await chooseInstance(api, workspaceId, reference);
  const instance = await api.provisioners.instance({ workspaceId, instanceId });
  const { terminal } = context;
  const history = instance.history.map(({ state, reason, at }) => {
    const why = reason === null ? "" : `: ${plainText(reason)}`;
    return `  ${utcTime(at)}  ${inStatusColor(state, state, terminal.colors)}${why}`;
  });
  const tail = instance.console_tail;
  const console =
    tail === null
      ? ["", "Nothing of its console was reported."]
      : [
          "",
          "The last of its console:",
          ...tail
            .trimEnd()
            .split("\n")
            .map((line) => `  ${safeLine(line, { colors: false })}`),
        ];
  await printResult(context, options, {
    document: instance,
    text: () =>
      [
        renderFacts(terminal, [
          ["instance", instance.id],
          ["state", stateOf(instance)],
          ["reason", reasonOf(instance)],
          ["template", instance.template_key],
          ["labels", instance.labels.join(", ")],
          ["machine", `${instance.provider_runner_id ?? "-"} (${instance.provider_kind ?? "provider unknown"})`],
          ["runner", instance.runner_id ?? "not registered"],
        ]),
        "",
        "History (UTC):",
        ...history,
        ...console,
        ...(instance.ended_at === null
          ? [nextLine(context, `shipfox provisioners instances drain ${quoteWord(reference)}`)]
          : []),
      ].join("\n"),
  });
}

async function drainInstance(context: CommandContext, reference: string, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id: workspaceId } = await chooseWorkspace(api, options.workspace);
  const instanceId = await chooseInstance(api, workspaceId, reference);
  const instance = await api.provisioners.drainInstance({ workspaceId, instanceId });
  await printResult(context, options, {
    document: instance,
    text: () => `${outcome(instance, "is drained")}\n${viewLine(context, reference)}`,
  });
}

async function terminateInstance(
  context: CommandContext,
  reference: string,
  options: WorkspaceOption & ConfirmOptions,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id: workspaceId } = await chooseWorkspace(api, options.workspace);
  const instanceId = await chooseInstance(api, workspaceId, reference);
  await confirmOnTerminal(context, options, `Remove ${plainText(reference)} now? A job that it has begins again.`);
  const instance = await api.provisioners.terminateInstance({ workspaceId, instanceId });
  await printResult(context, options, {
    document: instance,
    text: () => `${outcome(instance, "is terminated")}\n${viewLine(context, reference)}`,
  });
}

/** An id as it is; else the instance whose machine is called so. Throws a usage error that says where to look. */
async function chooseInstance(api: Client, workspaceId: string, reference: string): Promise<string> {
  if (isId(reference.toLowerCase())) return reference.toLowerCase();
  const { rows } = await readRows(SEARCHED_INSTANCES, async (page) => {
    const reply = await api.provisioners.instances({ workspaceId, ...page });
    return { rows: reply.runner_instances, next: reply.next_cursor };
  });
  const matches = rows.filter((row) => row.provider_runner_id === reference);
  // A provider may use a name again; one that goes on is meant before one that ended.
  const [instance] = matches.filter((row) => row.ended_at === null).concat(matches);
  if (instance) return instance.id;
  throw usageError(
    `None of the newest ${SEARCHED_INSTANCES} runner instances has the id or the machine ${plainText(reference)}.`,
    "shipfox provisioners instances list",
  );
}

function outcome(instance: RunnerInstance, what: string): string {
  const name = plainText(instance.provider_runner_id ?? instance.id);
  if (instance.ended_at !== null) return `✓ ${name} had ended before.`;
  return instance.terminate_reason === null
    ? `✓ ${name} ${what}: it finishes its job, then its provisioner removes it.`
    : `✓ ${name} ${what}: its provisioner removes it.`;
}

function viewLine(context: CommandContext, reference: string): string {
  return nextLine(context, `shipfox provisioners instances view ${quoteWord(reference)}`);
}

function stateOf({ state, claimed, ended_at }: RunnerInstance): string {
  return claimed && ended_at === null ? `${state}, busy` : state;
}

/** What somebody said of its state, else why it is to be removed. */
function reasonOf({ reason, terminate_reason }: RunnerInstance): string {
  return reason ?? (terminate_reason === null ? "-" : reasonWords(terminate_reason));
}
