import type { Command } from "commander";
import { type WorkspaceOption, withWorkspace } from "../choose-scope.ts";
import { chooseWorkspace } from "../choose.ts";
import { type CommandContext, finishCommand, printResult } from "../command-context.ts";
import { parseMoment } from "../moment.ts";
import { renderFacts } from "../render/facts.ts";
import { bytes } from "../render/size.ts";
import { utcTime } from "../render/time.ts";
import { runLimitWords } from "../run-limit.ts";
import { openSession } from "../session.ts";

interface UsageOptions extends WorkspaceOption {
  from?: string;
  to?: string;
}

export function registerUsage(program: Command, context: CommandContext): void {
  finishCommand(
    withWorkspace(
      program
        .command("usage")
        .description("runs, job minutes, stored logs, files and trigger events of a workspace, and its limits"),
    )
      .option("--from <time>", "since then: RFC 3339, a day, or a duration before now (default: 30d)", parseMoment)
      .option("--to <time>", "until then (default: now)", parseMoment)
      .action((options: UsageOptions) => showUsage(context, options)),
    "shipfox usage",
    "shipfox usage --from 2026-01-01 --to 2026-02-01",
  );
}

async function showUsage(context: CommandContext, options: UsageOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { workspace_id } = await chooseWorkspace(api, options.workspace);
  const usage = await api.workspaces.usage({ workspaceId: workspace_id, from: options.from, to: options.to });
  const { runs, concurrent_runs: concurrent, stored_trigger_events: events, limits } = usage;
  const ended = runs.by_status.map(({ status, count }) => `${count} ${status}`).join(", ");
  await printResult(context, options, {
    document: usage,
    text: () =>
      renderFacts(context.terminal, [
        ["period (UTC)", `${utcTime(usage.from)} to ${utcTime(usage.to)}`],
        ["runs", ended === "" ? "0" : `${runs.total}: ${ended}`],
        ["job minutes", usage.job_minutes.toFixed(1)],
        ["stored logs", bytes(usage.stored_log_bytes)],
        ["artifacts", `${bytes(usage.stored_files.artifact_bytes)} of ${bytes(limits.max_artifact_bytes)}`],
        ["caches", `${bytes(usage.stored_files.cache_bytes)} of ${bytes(limits.max_cache_bytes)}`],
        [
          "trigger events",
          `${events.events} of ${limits.max_trigger_events}, ${bytes(events.bytes)} of ${bytes(limits.max_trigger_event_bytes)}`,
        ],
        ["now", `${concurrent.going} run(s) going, ${concurrent.waiting} waiting for a place`],
        ["runs at once", runLimitWords(limits.max_concurrent_runs)],
        ["secrets", `at most ${limits.max_secrets}, variables included`],
        [
          "logs are kept",
          limits.log_retention_days === 0 ? "as long as their runs" : `${limits.log_retention_days} days`,
        ],
      ]),
  });
}
