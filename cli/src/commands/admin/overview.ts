import type { Command } from "commander";
import { type CommandContext, finishCommand, type JsonOption, printResult } from "../../command-context.ts";
import { renderFacts } from "../../render/facts.ts";
import { openSession } from "../../session.ts";

export function registerOverview(admin: Command, context: CommandContext): void {
  finishCommand(
    admin
      .command("overview")
      .description("how much of what the server has, and what it is doing")
      .action((options: JsonOption) => showOverview(context, options)),
    "shipfox admin overview",
  );
}

async function showOverview(context: CommandContext, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const overview = await api.admin.overview();
  const { version, users, workspaces, projects, runs, jobs } = overview;
  await printResult(context, options, {
    document: overview,
    text: () =>
      renderFacts(context.terminal, [
        ["version", version],
        ["users", `${users.active} active, ${users.suspended} suspended, ${users.administrators} administrator(s)`],
        ["workspaces", `${workspaces.active} active, ${workspaces.suspended} suspended, ${workspaces.deleted} deleted`],
        ["projects", String(projects)],
        ["runs", `${runs.going} going, ${runs.waiting} waiting for a place`],
        ["jobs", `${jobs.running} running, ${jobs.queued} waiting for a runner`],
      ]),
  });
}
