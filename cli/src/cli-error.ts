import { EXIT, type ExitCode } from "./exit-codes.ts";

export interface CliErrorOptions {
  exitCode: ExitCode;
  /** Stable kebab-case code: one of the API's, or one of this program's own. */
  code: string;
  /** What to type or do next, most useful first. */
  next?: readonly string[];
  cause?: unknown;
}

/** An error that is shown to the user as it is: what happened, its code, and the next command. */
export class CliError extends Error {
  override readonly name: string = "CliError";
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly next: readonly string[];

  constructor(message: string, options: CliErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode;
    this.code = options.code;
    this.next = options.next ?? [];
  }
}

/** `next`: what to type instead, the most useful first; nobody is left with a problem alone. */
export function usageError(message: string, ...next: [string, ...string[]]): CliError {
  return new CliError(message, { exitCode: EXIT.usage, code: "usage", next });
}

export function interrupted(message: string): CliError {
  return new CliError(message, { exitCode: EXIT.interrupted, code: "interrupted" });
}
