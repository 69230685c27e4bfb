import type { Command } from "commander";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";

/** What every command works with. A command that ends well but not with 0 sets `exitCode`; `--context` stands in `env`. */
export interface CommandContext {
  readonly terminal: Terminal;
  env: Record<string, string | undefined>;
  readonly cwd: string;
  exitCode: ExitCode;
}

export function createContext(
  terminal: Terminal,
  env: Record<string, string | undefined>,
  cwd: string,
): CommandContext {
  return { terminal, env, cwd, exitCode: EXIT.ok };
}

export interface JsonOption {
  json?: boolean;
}

/** Adds `--json` and the examples that end the command's help. */
export function finishCommand(command: Command, ...examples: string[]): Command {
  return withExamples(command.option("--json", "print one JSON document instead of text"), ...examples);
}

/** Ends the help of a command, or of a group of commands, with examples. */
export function withExamples(command: Command, ...examples: string[]): Command {
  const lines = examples.map((example) => `  $ ${example}`);
  return command.addHelpText("after", `\nExamples:\n${lines.join("\n")}\n`);
}

/** Prints `document` with `--json`, else the text. */
export async function printResult(
  context: CommandContext,
  options: JsonOption,
  result: { document: unknown; text: () => string },
): Promise<void> {
  await context.terminal.print(options.json ? JSON.stringify(result.document, null, 2) : result.text());
}

/** `next: <command>` under a result. */
export function nextLine(context: CommandContext, command: string): string {
  return `  ${context.terminal.colors.dim("next:")} ${command}`;
}
