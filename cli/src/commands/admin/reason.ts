import type { Command } from "commander";
import { usageError } from "../../cli-error.ts";
import type { CommandContext } from "../../command-context.ts";
import { type ConfirmOptions, withYes } from "../../confirm.ts";
import { askText } from "../../prompts.ts";

export interface ReasonOption {
  reason?: string;
}
export type ChangeOptions = ConfirmOptions & ReasonOption;

/** Adds `--reason`; what cannot do without one asks for it. */
export function withReason(command: Command): Command {
  return command.option("--reason <text>", "why; kept in the audit log");
}

/** Adds `--reason` and `--yes`. */
export function asChange(command: Command): Command {
  return withYes(withReason(command));
}

/** Throws a usage error where there is none and nobody can be asked. */
export async function requireReason({ terminal }: CommandContext, { reason }: ReasonOption): Promise<string> {
  if (reason !== undefined) return reason;
  if (!terminal.interactive) throw usageError("The reason is missing.", 'add --reason "why"');
  return await askText(terminal, "Why? It is kept in the audit log");
}
