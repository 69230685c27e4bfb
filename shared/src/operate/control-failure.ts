import { ControlError, NotRunningError } from "./control-client.ts";
import { EXIT_COMMAND_FAILED, EXIT_NOT_RUNNING } from "./exit-status.ts";
import type { Output } from "./output.ts";

/** Says why a daemon cannot be talked to, and answers the exit status for it. Throws any other error. */
export function explainFailure(error: unknown, program: string, output: Output): number {
  if (!(error instanceof NotRunningError) && !(error instanceof ControlError)) throw error;
  output.note(`${program}: ${error.message}`);
  return error instanceof NotRunningError ? EXIT_NOT_RUNNING : EXIT_COMMAND_FAILED;
}
