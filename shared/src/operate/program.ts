import { ConfigError } from "../config.ts";
import { EXIT_COMMAND_FAILED, EXIT_CONFIGURATION } from "./exit-status.ts";

/** A command line that says all itself. */
type Said = { readonly kind: "print"; readonly text: string } | { readonly kind: "wrong"; readonly message: string };

export interface Program<Command extends { readonly kind: string }> {
  /** What it is called by people: the start of its messages. */
  readonly name: string;
  readonly command: Command | Said;
  /** The exit status of a wrong command line. */
  readonly usageStatus: number;
  readonly run: (command: Command) => Promise<number>;
  /** The exit status of an error whose message says all there is to say; null for any other: that one is shown with its stack. */
  readonly statusOf: (error: unknown) => number | null;
}

/**
 * Does what a command line says and ends the process with the exit status of that. An error of the configuration is always 78. A
 * connection that is kept alive or a stuck clean-up does not hold the process once everything is said.
 */
export async function runMain<Command extends { readonly kind: string }>(program: Program<Command>): Promise<never> {
  process.exitCode = await statusOfRun(program);
  process.exit();
}

async function statusOfRun<Command extends { readonly kind: string }>(program: Program<Command>): Promise<number> {
  const { name, command, usageStatus, run, statusOf } = program;
  if (isPrint(command)) {
    process.stdout.write(`${command.text}\n`);
    return 0;
  }
  if (isWrong(command)) {
    process.stderr.write(`${command.message}\n`);
    return usageStatus;
  }
  try {
    return await run(command as Command);
  } catch (error) {
    const status = error instanceof ConfigError ? EXIT_CONFIGURATION : statusOf(error);
    const { message, stack = String(error) } = error as Error;
    process.stderr.write(`${name}: ${status === null ? stack : message}\n`);
    return status ?? EXIT_COMMAND_FAILED;
  }
}

function isPrint(command: { readonly kind: string }): command is { kind: "print"; text: string } {
  return command.kind === "print";
}

function isWrong(command: { readonly kind: string }): command is { kind: "wrong"; message: string } {
  return command.kind === "wrong";
}
