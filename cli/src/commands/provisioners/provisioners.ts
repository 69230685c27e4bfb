import type { ActiveProvisioner } from "@shipfox/shared/api/provisioners";
import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../../choose-scope.ts";
import { chooseWorkspace } from "../../choose.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../../command-context.ts";
import { plainText } from "../../render/plain-text.ts";
import { renderTable } from "../../render/table.ts";
import { age, utcTime } from "../../render/time.ts";
import { openSession } from "../../session.ts";
import { registerInstances } from "./instances.ts";
import { registerProvisionerTokens } from "./tokens.ts";

export function registerProvisioners(program: Command, context: CommandContext): void {
  const provisioners = withExamples(
    program.command("provisioners").description("what starts runners on demand: its templates, instances and tokens"),
    "shipfox provisioners list",
    "shipfox provisioners instances list --open",
    "shipfox provisioners tokens create aws",
  );
  finishCommand(
    withWorkspace(
      provisioners
        .command("list")
        .description("list the provisioners that called within the last two minutes, and what they can start"),
    ).action((options: WorkspaceOption) => listProvisioners(context, options)),
    "shipfox provisioners list",
    "shipfox provisioners list --json",
  );
  registerInstances(provisioners, context);
  registerProvisionerTokens(provisioners, context);
}

async function listProvisioners(context: CommandContext, options: WorkspaceOption): Promise<void> {
  const { api } = await openSession(context.env);
  const workspace = await chooseWorkspace(api, options.workspace);
  const { provisioners } = await api.provisioners.active({ workspaceId: workspace.workspace_id });
  await printResult(context, options, {
    document: { provisioners },
    text: () =>
      provisioners.length === 0
        ? [
            `No provisioner of ${plainText(workspace.workspace_name)} called within the last two minutes.`,
            nextLine(context, "shipfox provisioners tokens create <name>"),
            nextLine(context, "for those that called before: shipfox provisioners tokens list"),
          ].join("\n")
        : [templateTable(context, provisioners), ...faultNotes(context, provisioners)].join("\n"),
  });
}

type Template = ActiveProvisioner["templates"][number];

function templateTable({ terminal }: CommandContext, provisioners: readonly ActiveProvisioner[]): string {
  const rows = provisioners.flatMap((provisioner) => {
    const templates: (Template | null)[] = provisioner.templates.length === 0 ? [null] : provisioner.templates;
    return templates.map((template) => ({ provisioner, template }));
  });
  return renderTable(
    terminal,
    [
      { head: "PROVISIONER", text: ({ provisioner }) => nameOf(provisioner) },
      { head: "HOST", text: ({ provisioner }) => provisioner.host ?? "-" },
      { head: "SEEN", text: ({ provisioner }) => age(provisioner.last_seen_at) },
      { head: "TEMPLATE", text: ({ template }) => template?.template_key ?? "-" },
      { head: "LABELS", text: ({ template }) => template?.labels.join(",") ?? "-", flex: true },
      { head: "FREE", text: ({ template }) => count(template?.available_slots) },
      { head: "STARTING", text: ({ template }) => count(template?.starting) },
      { head: "RUNNING", text: ({ template }) => count(template?.running) },
    ],
    rows,
  );
}

function faultNotes({ terminal }: CommandContext, provisioners: readonly ActiveProvisioner[]): string[] {
  return provisioners
    .flatMap(({ templates }) => templates)
    .flatMap(({ template_key: key, fault }) => {
      if (!fault) return [];
      const again = fault.next_try_at === undefined ? "" : `; next try ${utcTime(fault.next_try_at)} UTC`;
      return [terminal.colors.yellow(`${plainText(key)} starts nothing: ${plainText(fault.message)}${again}`)];
    });
}

function nameOf({ name, prefix }: ActiveProvisioner): string {
  return name ?? prefix;
}

function count(slots: number | undefined): string {
  return slots === undefined ? "-" : String(slots);
}
