import type { Secret } from "@shipfox/shared/api/scoped-values";
import type { Command } from "commander";
import { ALL_VALUES, chooseScope, type ScopeOptions, withScope } from "../choose-scope.ts";
import { type CommandContext, finishCommand, nextLine, printResult, withExamples } from "../command-context.ts";
import { type ConfirmOptions, confirmOnTerminal, withYesOnTerminal } from "../confirm.ts";
import { plainText } from "../render/plain-text.ts";
import { warningLines } from "../render/value-warnings.ts";
import { renderTable } from "../render/table.ts";
import { age } from "../render/time.ts";
import { openSession } from "../session.ts";
import { readValue } from "../value-input.ts";

export function registerSecrets(program: Command, context: CommandContext): void {
  const secrets = withExamples(
    program.command("secrets").description("set, list and delete secrets, which workflows use and nobody can read"),
    "shipfox secrets set DEPLOY_TOKEN < token.txt",
    "shipfox secrets list",
  );
  finishCommand(
    withScope(secrets.command("set").description("set a secret; the value is asked for, or read from stdin or a file"))
      .argument("<key>", "upper-case letters, digits and _")
      .option("--from-file <file>", "take the value from a file, as it is")
      .action((key: string, options: ScopeOptions & { fromFile?: string }) => setSecret(context, key, options)),
    "shipfox secrets set DEPLOY_TOKEN",
    "shipfox secrets set DEPLOY_TOKEN < token.txt",
    "shipfox secrets set SSH_KEY --from-file ~/.ssh/deploy_key --project shop",
  );
  finishCommand(
    withScope(secrets.command("list").description("list the secrets of the workspace, or of a project")).action(
      (options: ScopeOptions) => listSecrets(context, options),
    ),
    "shipfox secrets list",
    "shipfox secrets list --project shop --json",
  );
  finishCommand(
    withYesOnTerminal(withScope(secrets.command("delete").description("delete a secret")))
      .argument("<key>", "its key")
      .action((key: string, options: ScopeOptions & ConfirmOptions) => deleteSecret(context, key, options)),
    "shipfox secrets delete DEPLOY_TOKEN",
  );
}

async function setSecret(
  context: CommandContext,
  key: string,
  options: ScopeOptions & { fromFile?: string },
): Promise<void> {
  const { api } = await openSession(context.env);
  const { scope, name } = await chooseScope(api, options);
  const value = await readValue(context, key, options.fromFile);
  const reply = await api.secrets.set({ ...scope, key, value });
  await printResult(context, options, {
    document: reply,
    text: () => {
      const done = `${context.terminal.colors.green("✓")} Set the secret ${key} of ${name}.`;
      const use = `use it in the env of a step: ${key}: \${{ secrets.${key} }}`;
      return [done, ...warningLines(context, reply.warnings), nextLine(context, use)].join("\n");
    },
  });
}

async function listSecrets(context: CommandContext, options: ScopeOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const { scope, name } = await chooseScope(api, options);
  const { secrets } = await api.secrets.list({ ...scope, limit: ALL_VALUES });
  await printResult(context, options, {
    document: { secrets },
    text: () =>
      secrets.length === 0
        ? `There is no secret of ${name} yet.\n${nextLine(context, "shipfox secrets set DEPLOY_TOKEN < token.txt")}`
        : secretTable(context, secrets),
  });
}

function secretTable({ terminal }: CommandContext, secrets: readonly Secret[]): string {
  return renderTable(
    terminal,
    [
      { head: "KEY", text: (secret) => secret.key, flex: true },
      { head: "UPDATED", text: (secret) => age(secret.updated_at) },
    ],
    secrets,
  );
}

async function deleteSecret(
  context: CommandContext,
  key: string,
  options: ScopeOptions & ConfirmOptions,
): Promise<void> {
  const { api } = await openSession(context.env);
  const { scope, name } = await chooseScope(api, options);
  await confirmOnTerminal(context, options, `Delete the secret ${plainText(key)} of ${name}?`);
  await api.secrets.delete({ ...scope, key });
  await printResult(context, options, {
    document: { deleted: key },
    text: () => `${context.terminal.colors.green("✓")} Deleted the secret ${key} of ${name}.`,
  });
}
