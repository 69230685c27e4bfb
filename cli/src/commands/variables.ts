import type { ListedVariable } from "@shipfox/shared/api/scoped-values";
import type { Command } from "commander";
import { ALL_VALUES, chooseScope, type ScopeOptions, withScope } from "../choose-scope.ts";
import { usageError } from "../cli-error.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { plainText } from "../render/plain-text.ts";
import { warningLines } from "../render/value-warnings.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";
import { readValue } from "../value-input.ts";

export function registerVariables(program: Command, context: CommandContext): void {
  const variables = withExamples(
    program.command("variables").description("set, read, list and delete variables that workflows use"),
    "shipfox variables set REGION eu-west-1",
    "shipfox variables list",
  );
  finishCommand(
    withScope(variables.command("set").description("set a variable"))
      .argument("<key>", "upper-case letters, digits and _")
      .argument("[value]", "its value; without one it is asked for, or read from stdin")
      .option("--from-file <file>", "take the value from a file, as it is")
      .action((key: string, value: string | undefined, options: ScopeOptions & { fromFile?: string }) =>
        setVariable(context, key, value, options),
      ),
    "shipfox variables set REGION eu-west-1",
    "shipfox variables set BANNER --from-file banner.txt --project shop",
  );
  finishCommand(
    withScope(variables.command("get").description("print the value of a variable"))
      .argument("<key>", "its key")
      .action((key: string, options: ScopeOptions) => getVariable(context, key, options)),
    "shipfox variables get REGION",
  );
  finishCommand(
    withScope(variables.command("list").description("list the variables of the workspace, or of a project")).action(
      (options: ScopeOptions) => listVariables(context, options),
    ),
    "shipfox variables list",
    "shipfox variables list --project shop --json",
  );
  finishCommand(
    withYesOnTerminal(withScope(variables.command("delete").description("delete a variable")))
      .argument("<key>", "its key")
      .action((key: string, options: ScopeOptions & ConfirmOptions) => deleteVariable(context, key, options)),
    "shipfox variables delete REGION",
  );
}

async function setVariable(
  context: CommandContext,
  key: string,
  given: string | undefined,
  options: ScopeOptions & { fromFile?: string },
): Promise<void> {
  if (given !== undefined && options.fromFile !== undefined)
    throw usageError("Give either a value or --from-file.", "shipfox variables set --help");
  const { api } = await openSession(context.env);
  const { scope, name } = await chooseScope(api, options);
  const value = given ?? (await readValue(context, key, options.fromFile));
  const reply = await api.variables.set({ ...scope, key, value });
  await printResult(context, options, {
    document: reply,
    text: () => {
      const done = `${context.terminal.colors.green("✓")} Set the variable ${key} of ${name}.`;
      const use = `use it in a workflow: \${{ vars.${key} }}`;
      return [done, ...warningLines(context, reply.warnings), nextLine(context, use)].join("\n");
    },
  });
}

async function getVariable(context: CommandContext, key: string, options: ScopeOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { scope } = await chooseScope(api, options);
  const { variable } = await api.variables.get({ ...scope, key });
  await printResult(context, options, { document: variable, text: () => variable.value });
}

async function listVariables(context: CommandContext, options: ScopeOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { scope, name } = await chooseScope(api, options);
  const { variables } = await api.variables.list({ ...scope, limit: ALL_VALUES });
  await printResult(context, options, {
    document: { variables },
    text: () =>
      variables.length === 0
        ? `There is no variable of ${name} yet.\n${nextLine(context, "shipfox variables set REGION eu-west-1")}`
        : variableTable(context, variables),
  });
}

function variableTable({ terminal }: CommandContext, variables: readonly ListedVariable[]): string {
  return renderTable(
    terminal,
    [
      { head: "KEY", text: (variable) => variable.key },
      {
        head: "VALUE",
        text: (variable) => plainText(variable.value) + (variable.value_truncated ? " …" : ""),
        flex: true,
      },
      { head: "UPDATED", text: (variable) => age(variable.updated_at) },
    ],
    variables,
  );
}

async function deleteVariable(
  context: CommandContext,
  key: string,
  options: ScopeOptions & ConfirmOptions,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { scope, name } = await chooseScope(api, options);
  await confirmOnTerminal(context, options, `Delete the variable ${plainText(key)} of ${name}?`);
  await api.variables.delete({ ...scope, key });
  await printResult(context, options, {
    document: { deleted: key },
    text: () => `${context.terminal.colors.green("✓")} Deleted the variable ${key} of ${name}.`,
  });
}
