import {
  approvalStatusSchema,
  type TriggerEvent,
  type TriggerEventDetail,
  triggerOutcomeSchema,
} from "@shipfox/shared/api/trigger-events";
import { type Command, Option } from "commander";
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
import { parseMoment } from "../moment.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../paging.ts";
import { plainText } from "../render/plain-text.ts";
import { inStatusColor } from "../render/status.ts";
import { renderTable } from "../render/table.ts";
import { utcTime } from "../render/time.ts";
import { openSession } from "../session.ts";

interface ListOptions extends WorkspaceOption, PagingOptions {
  source?: string[];
  event?: string[];
  outcome?: TriggerEvent["outcome"];
  approval?: NonNullable<TriggerEvent["approval"]>["status"];
  from?: string;
  to?: string;
}

type ApproveOptions = ConfirmOptions & { commit?: string };

export function registerEvents(program: Command, context: CommandContext): void {
  const events = withExamples(
    program
      .command("events")
      .description("what came in for triggers and what became of it: list, view, replay, approve"),
    "shipfox events list --outcome errored",
    "shipfox events list --approval waiting",
  );
  finishCommand(
    withPaging(withWorkspace(events.command("list").description("list what came in, newest first")))
      .option("--source <source...>", "only from there: slug of a connection, cron or workflow")
      .option("--event <event...>", "only these, such as push")
      .addOption(new Option("--outcome <outcome>", "only what ended so").choices([...triggerOutcomeSchema.options]))
      .addOption(
        new Option("--approval <status>", "only what needs an approval").choices([...approvalStatusSchema.options]),
      )
      .option("--from <time>", "only since then: RFC 3339, a day, or a duration before now such as 24h", parseMoment)
      .option("--to <time>", "only until then", parseMoment)
      .action((options: ListOptions) => listEvents(context, options)),
    "shipfox events list",
    "shipfox events list --source github_acme --event push --from 24h --json",
  );
  finishCommand(
    events
      .command("view")
      .description("show one event: its payload, and what each trigger made of it")
      .argument("<event>", "id of the event")
      .action((eventId: string, options: JsonOption) => viewEvent(context, eventId, options)),
    "shipfox events view 01981f0e-6a5e-7c3b-9c0a-000000000030",
  );
  finishCommand(
    events
      .command("replay")
      .description("route an event once more: what matches now starts a run again")
      .argument("<event>", "id of the event")
      .action((eventId: string, options: JsonOption) => replayEvent(context, eventId, options)),
    "shipfox events replay 01981f0e-6a5e-7c3b-9c0a-000000000030",
  );
  finishCommand(
    withYes(events.command("approve").description("let what a stranger made start its runs, of this commit only"))
      .argument("<event>", "id of the event")
      .option("--commit <commit>", "the commit that you have looked at: refuse any other")
      .action((eventId: string, options: ApproveOptions) => approveEvent(context, eventId, options)),
    "shipfox events approve 01981f0e-6a5e-7c3b-9c0a-000000000030",
    "shipfox events approve 01981f0e-6a5e-7c3b-9c0a-000000000030 --commit 4f2a… --yes",
  );
}

async function listEvents(context: CommandContext, options: ListOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id } = await chooseWorkspace(api, options.workspace);
  const { source, event, outcome, approval, from, to } = options;
  const filter = {
    workspace_id,
    ...(source === undefined ? {} : { source }),
    ...(event === undefined ? {} : { event }),
    ...(outcome === undefined ? {} : { outcome }),
    ...(approval === undefined ? {} : { approval }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
  };
  const { rows, next } = await readPages(options, async (page) => {
    const reply = await api.triggerEvents.list({ ...filter, ...page });
    return { rows: reply.trigger_events, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { trigger_events: rows, next_cursor: next },
    text: () => (rows.length === 0 ? "There is no such event." : eventTable(context, rows)),
  });
  tellMore(context, options, next);
}

function eventTable({ terminal }: CommandContext, events: readonly TriggerEvent[]): string {
  return renderTable(
    terminal,
    [
      { head: "TIME (UTC)", text: (event) => utcTime(event.received_at) },
      { head: "SOURCE", text: (event) => event.source },
      { head: "EVENT", text: (event) => event.event, flex: true },
      { head: "OUTCOME", text: stateOf, style: (text, event) => inStatusColor(colorOf(event), text, terminal.colors) },
      { head: "MATCHED", text: (event) => String(event.matched_count) },
      { head: "ID", text: (event) => event.id, style: (text) => terminal.colors.dim(text) },
    ],
    events,
  );
}

/** An event that waits for an approval has no outcome yet. */
function stateOf({ approval, outcome }: TriggerEvent): string {
  return approval?.status === "waiting" ? "waits for approval" : outcome;
}

function colorOf({ approval, outcome }: TriggerEvent): string {
  if (approval?.status === "waiting") return "pending";
  if (outcome === "routed") return "succeeded";
  return outcome === "errored" ? "failed" : outcome;
}

async function viewEvent(context: CommandContext, eventId: string, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const event = await api.triggerEvents.get({ eventId });
  await printResult(context, options, { document: event, text: () => describeEvent(context, event).join("\n") });
}

function describeEvent(context: CommandContext, event: TriggerEventDetail): string[] {
  const { approval, decisions, payload } = event;
  const facts = [
    `${plainText(event.source)} ${plainText(event.event)}, ${stateOf(event)}`,
    `received ${utcTime(event.received_at)}${event.pass > 1 ? `, routed ${event.pass} times` : ""}`,
    ...(event.untrusted ? ["made by somebody without rights to the repository"] : []),
    ...(approval?.commit ? [`commit ${approval.commit}`] : []),
    "",
    decisions.length === 0 ? "No trigger has decided about it." : decisionTable(context, decisions),
    "",
    payload === null ? "It has no payload." : plainText(JSON.stringify(payload, null, 2)),
  ];
  if (approval?.status !== "waiting") return facts;
  return [...facts, "", nextLine(context, `shipfox events approve ${event.id}`)];
}

function decisionTable({ terminal }: CommandContext, decisions: TriggerEventDetail["decisions"]): string {
  return renderTable(
    terminal,
    [
      { head: "PASS", text: (decision) => String(decision.pass) },
      { head: "TRIGGER", text: (decision) => decision.subscription_name },
      {
        head: "DECISION",
        text: (decision) => decision.decision,
        style: (text) => inStatusColor(text === "triggered" ? "succeeded" : "failed", text, terminal.colors),
      },
      { head: "RUN", text: ({ run_name, run_id, workflow_run_id: listens }) => run_name ?? run_id ?? listens ?? "-" },
      { head: "REASON", text: (decision) => decision.reason ?? "-", flex: true },
    ],
    decisions,
  );
}

async function replayEvent(context: CommandContext, eventId: string, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const event = await api.triggerEvents.replay({ eventId });
  await printResult(context, options, {
    document: event,
    text: () =>
      [`✓ ${nameOf(event)} is routed once more.`, nextLine(context, `shipfox events view ${eventId}`)].join("\n"),
  });
}

async function approveEvent(context: CommandContext, eventId: string, options: ApproveOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { approval, ...seen } = await api.triggerEvents.get({ eventId });
  const view = `shipfox events view ${eventId}`;
  if (approval?.status !== "waiting") throw usageError(`${nameOf(seen)} waits for no approval.`, view);
  const { commit, workflows_hash: workflowsHash } = approval;
  if (options.commit !== undefined && options.commit !== commit)
    throw usageError(`${nameOf(seen)} is about the commit ${commit ?? "of none"}.`, view);
  const runs = seen.matched_count === 1 ? "a run" : `${seen.matched_count} runs`;
  await confirm(context, options, `Start ${runs} of ${commit ?? "no commit"}, which a stranger may have made?`);
  const event = await api.triggerEvents.approve({ eventId, commit, workflows_hash: workflowsHash ?? "" });
  await printResult(context, options, {
    document: event,
    text: () => [`✓ Approved ${nameOf(event)}.`, nextLine(context, view)].join("\n"),
  });
}

function nameOf({ source, event }: Pick<TriggerEvent, "source" | "event">): string {
  return `${plainText(source)} ${plainText(event)}`;
}
