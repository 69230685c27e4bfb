import type { RootKeys } from "@shipfox/shared/api/root-key";
import type { Command } from "commander";
import {
  type CommandContext,
  finishCommand,
  type JsonOption,
  nextLine,
  printResult,
  withExamples,
} from "../../command-context.ts";
import { confirm, type ConfirmOptions, withYes } from "../../confirm.ts";
import { renderTable } from "../../render/table.ts";
import { openSession } from "../../session.ts";

interface RotateOptions extends ConfirmOptions {
  revokeTokens?: true;
}

export function registerRootKey(admin: Command, context: CommandContext): void {
  const rootKey = withExamples(
    admin.command("root-key").description("the key that seals what is stored and signs tokens"),
    "shipfox admin root-key show",
    "shipfox admin root-key rotate",
  );
  finishCommand(
    rootKey
      .command("show")
      .description("the root keys by their names, and what each still opens")
      .action((options: JsonOption) => showRootKeys(context, options)),
    "shipfox admin root-key show",
  );
  finishCommand(
    withYes(rootKey.command("rotate").description("make a new root key"))
      .option("--revoke-tokens", "also refuse at once all tokens that were signed before, those of jobs included")
      .action((options: RotateOptions) => rotateRootKey(context, options)),
    "shipfox admin root-key rotate",
    "shipfox admin root-key rotate --revoke-tokens --yes",
  );
}

async function showRootKeys(context: CommandContext, options: JsonOption): Promise<void> {
  const { api } = await openSession(context.env);
  const keys = await api.admin.rootKeys();
  await printResult(context, options, { document: keys, text: () => keyTable(context, keys) });
}

async function rotateRootKey(context: CommandContext, options: RotateOptions): Promise<void> {
  const { api } = await openSession(context.env);
  const revoke = options.revokeTokens === true;
  const effect = revoke ? "refuse all tokens from before" : "let tokens from before run out";
  await confirm(context, options, `Make a new root key and ${effect}?`);
  const keys = await api.admin.rotateRootKey({ revoke_tokens: revoke });
  await printResult(context, options, {
    document: keys,
    text: () => [keyTable(context, keys), nextLine(context, "shipfox admin root-key show")].join("\n"),
  });
}

function keyTable({ terminal }: CommandContext, { keys, unopenable }: RootKeys): string {
  const table = renderTable(
    terminal,
    [
      { head: "KEY", text: (key) => key.key_id },
      { head: "REPLACED", text: (key) => key.replaced_at ?? "-" },
      { head: "TOKENS", text: (key) => (key.tokens ? "good" : "refused") },
      { head: "SEALED", text: (key) => String(key.sealed) },
    ],
    keys,
  );
  if (unopenable === 0) return table;
  return `${table}\n${terminal.colors.red(`${unopenable} stored secret(s) are opened by none of the keys.`)}`;
}
