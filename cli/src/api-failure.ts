import type { ClientError } from "@shipfox/client/client-error";
import { VERSION } from "@shipfox/shared/version";
import { CliError } from "./cli-error.ts";
import { EXIT } from "./exit-codes.ts";

/** What the command line named does not exist, or is not written as it must be. */
const USAGE_STATUSES: ReadonlySet<number> = new Set([400, 404, 422]);

/** What the control plane answered instead of what was asked for, or that it did not answer, as commands show it. */
export class ApiFailure extends CliError {
  override readonly name = "ApiFailure";
  /** Null when there was no error answer. */
  readonly status: number | null;
  readonly details: unknown;
  readonly retryAfterMs: number | null;

  constructor(error: ClientError) {
    const isUsage = error.status !== null && USAGE_STATUSES.has(error.status) && !error.code.startsWith("http-");
    super(messageOf(error), {
      exitCode: isUsage ? EXIT.usage : EXIT.api,
      code: error.code,
      next:
        error.code === "unexpected-reply"
          ? [`compare the versions of the control plane and of this command (${VERSION}): shipfox --version`]
          : [],
      cause: error,
    });
    this.status = error.status;
    this.details = error.details;
    this.retryAfterMs = error.retryAfterMs;
  }
}

function messageOf(error: ClientError): string {
  return error.message.replace("is not what this client expects", "is not what this command expects");
}
