import { CommanderError } from "commander";
import { ClientError } from "@shipfox/client/client-error";
import { ApiFailure } from "./api-failure.ts";
import { CliError, usageError } from "./cli-error.ts";
import { type CommandContext, createContext } from "./command-context.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { buildProgram, usageSentence } from "./program.ts";
import { errorDocument, renderError } from "./render/error.ts";
import { openTerminal } from "./terminal.ts";

async function main(argv: readonly string[], context: CommandContext): Promise<ExitCode> {
  const program = buildProgram(context);
  if (argv.length === 0) {
    program.outputHelp();
    return EXIT.ok;
  }
  try {
    await program.parseAsync([...argv], { from: "user" });
    return context.exitCode;
  } catch (error) {
    return await report(error, context, { json: argv.includes("--json") });
  }
}

/** Errors go to stderr in words, and with `--json` to stdout as the one document there is. */
async function report(error: unknown, context: CommandContext, options: { json: boolean }): Promise<ExitCode> {
  const { terminal } = context;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    if (options.json)
      await terminal.print(JSON.stringify(errorDocument(usageError(usageSentence(error.message), "shipfox --help"))));
    return EXIT.usage;
  }
  const known = knownError(error);
  if (options.json) await terminal.print(JSON.stringify(errorDocument(known)));
  terminal.note(renderError(known, terminal.errorColors));
  return known.exitCode;
}

function knownError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof ClientError) return new ApiFailure(error);
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new CliError(`A fault of this program: ${text}`, { exitCode: EXIT.internal, code: "internal", cause: error });
}

// `shipfox logs 7 | head` closes the pipe early: that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(EXIT.ok);
});

const terminal = openTerminal({
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
});
process.exitCode = await main(process.argv.slice(2), createContext(terminal, process.env, process.cwd()));
