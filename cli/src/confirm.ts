import type { Command } from "commander";
import { interrupted, usageError } from "./cli-error.ts";
import type { CommandContext, JsonOption } from "./command-context.ts";
import { askYes } from "./prompts.ts";

export interface ConfirmOptions extends JsonOption {
  yes?: true;
}

/** Adds `--yes` to a command that asks before it acts. */
export function withYes(command: Command): Command {
  return command.option("-y, --yes", "do not ask first; needed where there is no terminal");
}

/** Adds `--yes` to a command that asks a person, and scripts not. */
export function withYesOnTerminal(command: Command): Command {
  return command.option("-y, --yes", "do not ask first");
}

/**
 * As `confirm`, for what takes one named thing away: without a terminal it was meant. Throws `interrupted` on a no.
 */
export async function confirmOnTerminal(
  context: CommandContext,
  options: ConfirmOptions,
  question: string,
): Promise<void> {
  if (context.terminal.interactive) await confirm(context, options, question);
}

/** Returns when a person, or `--yes`, wants it. Throws a usage error where nobody can be asked, `interrupted` on a no. */
export async function confirm(context: CommandContext, options: ConfirmOptions, question: string): Promise<void> {
  if (options.yes) return;
  if (!context.terminal.interactive) {
    throw usageError(`There is no terminal to ask on: ${question}`, "when you are sure, add --yes");
  }
  if (!(await askYes(context.terminal, question, { initialValue: false }))) throw interrupted("Nothing was changed.");
}
