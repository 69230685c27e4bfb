import type { ServerSettings } from "@shipfox/shared/api/admin";
import { type Command, Option } from "commander";
import { usageError } from "../../cli-error.ts";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  printResult,
  withExamples,
} from "../../command-context.ts";
import { renderTable } from "../../render/table.ts";
import { DEFAULT, parseRunLimit, type RunLimit, runLimitWords } from "../../run-limit.ts";
import { openSession } from "../../session.ts";
import { type ReasonOption, requireReason, withReason } from "./reason.ts";

const SIGNUP_VALUES = { true: true, false: false, [DEFAULT]: null } as const;

interface SetOptions extends JsonOption, ReasonOption {
  allowSignup?: keyof typeof SIGNUP_VALUES;
  maxConcurrentRuns?: RunLimit;
}

export function registerSettings(admin: Command, context: CommandContext): void {
  const settings = withExamples(
    admin.command("settings").description("settings that can be changed while the server runs"),
    "shipfox admin settings get",
    'shipfox admin settings set --allow-signup false --reason "we are complete"',
  );
  finishCommand(
    settings
      .command("get")
      .description("show the settings, and which of them were changed")
      .action((options: JsonOption) => showSettings(context, options)),
    "shipfox admin settings get",
  );
  finishCommand(
    withReason(settings.command("set").description("change settings, at once and also for after a restart"))
      .addOption(
        new Option(
          "--allow-signup <value>",
          `whether anybody may make an account; ${DEFAULT}: as the server was started`,
        ).choices(["true", "false", DEFAULT]),
      )
      .option(
        "--max-concurrent-runs <count>",
        `runs of one workspace at once, 0 for any number; ${DEFAULT}: as the server was started`,
        parseRunLimit,
      )
      .action((options: SetOptions) => changeSettings(context, options)),
    'shipfox admin settings set --allow-signup false --reason "we are complete"',
    `shipfox admin settings set --max-concurrent-runs ${DEFAULT} --reason "the rush is over"`,
  );
}

async function showSettings(context: CommandContext, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  await print(context, options, await api.admin.settings());
}

async function changeSettings(context: CommandContext, options: SetOptions): Promise<void> {
  const { allowSignup, maxConcurrentRuns } = options;
  if (allowSignup === undefined && maxConcurrentRuns === undefined) {
    throw usageError("No setting is named.", "shipfox admin settings set --help");
  }
  const { api } = await openSession(context.env);
  const reason = await requireReason(context, options);
  const allow_signup = allowSignup === undefined ? undefined : SIGNUP_VALUES[allowSignup];
  const max_concurrent_runs = maxConcurrentRuns === DEFAULT ? null : maxConcurrentRuns;
  await print(context, options, await api.admin.changeSettings({ allow_signup, max_concurrent_runs, reason }));
}

async function print(context: CommandContext, options: JsonOption, settings: ServerSettings): Promise<void> {
  const { allow_signup, max_concurrent_runs } = settings;
  const rows = [
    { name: "allow-signup", value: String(allow_signup.value), own: allow_signup.own },
    { name: "max-concurrent-runs", value: runLimitWords(max_concurrent_runs.value), own: max_concurrent_runs.own },
  ];
  await printResult(context, options, {
    document: settings,
    text: () =>
      renderTable(
        context.terminal,
        [
          { head: "SETTING", text: (row) => row.name },
          { head: "VALUE", text: (row) => row.value },
          { head: "FROM", text: (row) => (row.own ? "an administrator" : "how the server was started") },
        ],
        rows,
      ),
  });
}
