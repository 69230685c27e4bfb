import type { ClientError } from "@shipfox/client/client-error";
import { VERSION } from "@shipfox/shared/version";
import { CliError } from "./cli-error.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";

/** What the command line named does not exist, or is not written as it must be. */
const USAGE_STATUSES: ReadonlySet<number> = new Set([400, 404, 422]);

/** What the control plane answered instead of what was asked for, or that it did not answer, as commands show it. */
export class ApiFailure extends CliError {
  override readonly name = "ApiFailure";
  /** Null when there was no error answer. */
  readonly status: number | null;
  readonly details: unknown;
  readonly retryAfterMs: number | null;

  /** `next`: of a command that knows better than the code what to type. */
  constructor(error: ClientError, next: readonly string[] = []) {
    const isForeign = error.status === null || error.code.startsWith("http-");
    super(messageOf(error), {
      exitCode: isForeign ? EXIT.api : exitCodeOfStatus(error.status),
      code: error.code,
      next:
        error.code === "unexpected-reply"
          ? [`compare the versions of the control plane and of this command (${VERSION}): shipfox --version`]
          : next,
      cause: error,
    });
    this.status = error.status;
    this.details = error.details;
    this.retryAfterMs = error.retryAfterMs;
  }
}

/** Of an answer of the control plane that is a refusal. */
export function exitCodeOfStatus(status: number): ExitCode {
  return USAGE_STATUSES.has(status) ? EXIT.usage : EXIT.api;
}

function messageOf(error: ClientError): string {
  return error.message.replace("is not what this client expects", "is not what this command expects");
}
