import type { Client } from "@shipfox/client";
import {
  deliveryStatusSchema,
  type Webhook,
  type WebhookDelivery,
  webhookEventSchema,
} from "@shipfox/shared/api/webhooks";
import { type Command, Option } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseWorkspace } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { type PagingOptions, readPages, tellMore, withPaging } from "../paging.ts";
import { plainText } from "../render/plain-text.ts";
import { inStatusColor } from "../render/status.ts";
import { renderTable } from "../render/table.ts";
import { utcTime } from "../render/time.ts";
import { openSession } from "../session.ts";

type EventName = (typeof webhookEventSchema.options)[number];

interface CreateOptions extends WorkspaceOption {
  event: EventName[];
  name?: string;
}

type DeliveriesOptions = WorkspaceOption & PagingOptions & { status?: WebhookDelivery["status"] };

const WHICH = "name, URL or id";

export function registerWebhooks(program: Command, context: CommandContext): void {
  const webhooks = withExamples(
    program.command("webhooks").description("who is told of what happens to runs: list, create, delete, deliveries"),
    "shipfox webhooks create https://ci.example.com/hook",
    "shipfox webhooks list",
  );
  finishCommand(
    withWorkspace(webhooks.command("list").description("list the webhooks, without secrets")).action(
      (options: WorkspaceOption) => listWebhooks(context, options),
    ),
    "shipfox webhooks list",
  );
  finishCommand(
    withWorkspace(webhooks.command("create").description("tell an address; the secret that signs is shown once"))
      .argument("<url>", "where to send")
      .addOption(
        new Option("-e, --event <event...>", "what to tell of")
          .choices([...webhookEventSchema.options])
          .default(["run.finished"]),
      )
      .option("--name <name>", "name of the webhook, to find it again")
      .action((url: string, options: CreateOptions) => createWebhook(context, url, options)),
    "shipfox webhooks create https://ci.example.com/hook",
    "shipfox webhooks create https://ci.example.com/hook --event run.started run.finished --name ci",
  );
  finishCommand(
    withYesOnTerminal(withWorkspace(webhooks.command("delete").description("tell an address no more")))
      .argument("<webhook>", WHICH)
      .action((reference: string, options: WorkspaceOption & ConfirmOptions) =>
        deleteWebhook(context, reference, options),
      ),
    "shipfox webhooks delete ci",
  );
  finishCommand(
    withPaging(
      withWorkspace(webhooks.command("deliveries").description("what was sent, newest first, and the answers")),
    )
      .argument("<webhook>", WHICH)
      .addOption(new Option("--status <status>", "only these").choices([...deliveryStatusSchema.options]))
      .action((reference: string, options: DeliveriesOptions) => listDeliveries(context, reference, options)),
    "shipfox webhooks deliveries ci",
    "shipfox webhooks deliveries ci --status failed --json",
  );
}

async function open(context: CommandContext, options: WorkspaceOption) {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  return { api, workspaceId: workspace.workspace_id, name: plainText(workspace.workspace_name) };
}

async function listWebhooks(context: CommandContext, options: WorkspaceOption): Promise<void> {
  const { api, workspaceId, name } = await open(context, options);
  const { webhooks } = await api.webhooks.list({ workspaceId });
  await printResult(context, options, {
    document: { webhooks },
    text: () =>
      webhooks.length === 0
        ? `${name} has no webhook yet.\n${nextLine(context, "shipfox webhooks create https://ci.example.com/hook")}`
        : [webhookTable(context, webhooks), ...notes(context, webhooks)].join("\n"),
  });
}

function webhookTable({ terminal }: CommandContext, webhooks: readonly Webhook[]): string {
  return renderTable(
    terminal,
    [
      { head: "NAME", text: (webhook) => webhook.name ?? "-" },
      { head: "URL", text: (webhook) => webhook.url, flex: true },
      { head: "EVENTS", text: (webhook) => webhook.events.join(",") },
      {
        head: "STATUS",
        text: (webhook) => webhook.status,
        style: (text) => inStatusColor(text, text, terminal.colors),
      },
      { head: "ID", text: (webhook) => webhook.id, style: (text) => terminal.colors.dim(text), expendable: true },
    ],
    webhooks,
  );
}

/** Why one is disabled, a line each. */
function notes({ terminal }: CommandContext, webhooks: readonly Webhook[]): string[] {
  return webhooks.flatMap(({ name, url, disabled_reason: reason }) =>
    reason === null ? [] : [terminal.colors.yellow(`${plainText(name ?? url)}: ${plainText(reason)}`)],
  );
}

async function createWebhook(context: CommandContext, url: string, options: CreateOptions): Promise<void> {
  const { api, workspaceId } = await open(context, options);
  const webhook = await api.webhooks.create({ workspaceId, url, events: options.event, name: options.name });
  await printResult(context, options, {
    document: webhook,
    text: () =>
      [
        webhook.secret,
        "",
        context.terminal.colors.dim(
          `Shown only now: deliveries to ${plainText(webhook.url)} are signed with it. It is told of ${webhook.events.join(", ")}.`,
        ),
        nextLine(context, `shipfox webhooks deliveries ${webhook.id}`),
      ].join("\n"),
  });
}

async function deleteWebhook(
  context: CommandContext,
  reference: string,
  options: WorkspaceOption & ConfirmOptions,
): Promise<void> {
  const { api, workspaceId } = await open(context, options);
  const webhook = await chooseWebhook(api, workspaceId, reference);
  const name = plainText(webhook.name ?? webhook.url);
  await confirmOnTerminal(context, options, `Delete the webhook ${name}, with its deliveries?`);
  await api.webhooks.delete({ workspaceId, webhookId: webhook.id });
  await printResult(context, options, {
    document: { deleted: webhook.id },
    text: () => `✓ Deleted the webhook ${name}.`,
  });
}

async function listDeliveries(context: CommandContext, reference: string, options: DeliveriesOptions): Promise<void> {
  const { api, workspaceId } = await open(context, options);
  const { id: webhookId } = await chooseWebhook(api, workspaceId, reference);
  const { rows: deliveries, next: next_cursor } = await readPages(options, async (page) => {
    const reply = await api.webhooks.deliveries({ workspaceId, webhookId, status: options.status, ...page });
    return { rows: reply.deliveries, next: reply.next_cursor };
  });
  await printResult(context, options, {
    document: { deliveries, next_cursor },
    text: () => (deliveries.length === 0 ? "There is no such delivery." : deliveryTable(context, deliveries)),
  });
  tellMore(context, options, next_cursor);
}

function deliveryTable({ terminal }: CommandContext, deliveries: readonly WebhookDelivery[]): string {
  return renderTable(
    terminal,
    [
      { head: "TIME (UTC)", text: (delivery) => utcTime(delivery.created_at) },
      { head: "EVENT", text: (delivery) => delivery.event_type },
      {
        head: "STATUS",
        text: (delivery) => delivery.status,
        style: (text) => inStatusColor(text, text, terminal.colors),
      },
      { head: "ATTEMPTS", text: (delivery) => String(delivery.attempts) },
      { head: "ANSWER", text: answerOf, flex: true },
      { head: "ID", text: (delivery) => delivery.id, style: (text) => terminal.colors.dim(text) },
    ],
    deliveries,
  );
}

function answerOf({ response_status: status, error }: WebhookDelivery): string {
  return [status, error].filter((part) => part !== null).join(" ") || "-";
}

async function chooseWebhook(api: Client, workspaceId: string, reference: string): Promise<Webhook> {
  const { webhooks } = await api.webhooks.list({ workspaceId });
  const matches = webhooks.filter(({ id, name, url }) => [id, name, url].includes(reference));
  const [webhook] = matches;
  if (!webhook) throw usageError(`There is no webhook ${plainText(reference)}.`, "shipfox webhooks list");
  if (matches.length === 1) return webhook;
  throw usageError(
    `${matches.length} webhooks are called ${plainText(reference)}: name one by its id.`,
    "shipfox webhooks list",
  );
}
