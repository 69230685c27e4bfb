import type { Command } from "commander";
import { withProject } from "../choose-scope.ts";
import { allDefinitions, chooseDefinition, chooseProject, type Scope } from "../choose.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, type JsonOption, nextLine, printResult } from "../command-context.ts";
import { parseInputs } from "../inputs.ts";
import { plainText } from "../render/plain-text.ts";
import { nextLines } from "../render/run.ts";
import { openSession } from "../session.ts";
import { watchRun } from "./watch-run.ts";

interface RunOptions extends JsonOption, Scope {
  input?: string[];
  follow?: boolean;
}

export function registerRun(program: Command, context: CommandContext): void {
  const command = withProject(
    program
      .command("run")
      .description("start a workflow that has a manual trigger")
      .argument("<workflow>", "its name, or the path or file name of its definition"),
  )
    .option("-i, --input <k=v>", "an input: key=text or key:=json; may be repeated", collect)
    .option("-f, --follow", "show jobs, steps and logs until the run ends; exit 0 succeeded, 1 failed, 2 cancelled")
    .action((workflow: string, options: RunOptions) => run(context, workflow, options));
  finishCommand(
    command,
    "shipfox run ci --follow",
    "shipfox run .shipfox/workflows/deploy.yml --project shop --input target=staging --input replicas:=3",
    "shipfox run ci --follow --json | jq -r 'select(.type == \"step\")'",
  );
}

async function run(context: CommandContext, workflow: string, options: RunOptions): Promise<void> {
  const inputs = parseInputs(options.input ?? []);
  const { api } = await openSession(context.env);
  const project = await chooseProject(api, options);
  const definition = chooseDefinition(await allDefinitions(api, project.id), workflow);
  if (definition.manual_trigger === null) {
    throw usageError(
      `The workflow "${definition.name}" has no manual trigger.`,
      `add one to ${definition.config_path ?? "it"} (source: manual), then: shipfox projects sync ${project.slug}`,
    );
  }
  const { workflow_run_id: runId } = await api.definitions.fire({ definitionId: definition.id, inputs });
  if (options.follow) {
    if (!options.json)
      context.terminal.note(context.terminal.errorColors.dim(`run ${runId}; Ctrl-C stops watching, not the run`));
    context.exitCode = await watchRun(context, options, { api, runId });
    return;
  }
  const started = await api.runs.get({ id: runId });
  await printResult(context, options, {
    document: {
      workflow_run_id: runId,
      number: started.number,
      name: started.name,
      status: started.status,
      project_id: started.project_id,
      definition_id: started.definition_id,
    },
    text: () => {
      const next = nextLines(started).map((line) => nextLine(context, line));
      return [
        `${context.terminal.colors.green("✓")} Started ${plainText(started.name)} #${started.number} (${runId}).`,
        ...next,
      ].join("\n");
    },
  });
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
