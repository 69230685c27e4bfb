import type { StepError } from "@shipfox/shared/api/runs";
import type { GitResult } from "./git-process.ts";

export type CheckoutFault = Extract<
  NonNullable<StepError["reason"]>,
  `checkout_${"auth_failed" | "unavailable" | "failed" | "path_invalid" | "destination_occupied"}` | "git_unavailable"
>;

/** Why a repository could not be checked out; `reason` is the step's, `message` is for people and holds no secret. */
export class CheckoutError extends Error {
  override readonly name = "CheckoutError";
  readonly reason: CheckoutFault;

  constructor(reason: CheckoutFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

const AUTH_PATTERN =
  /authentication failed|could not read (username|password)|permission denied|access denied|invalid (username|credentials)|terminal prompts disabled|returned error: 40[13]|HTTP 40[13]|error in libcrypto|invalid format/i;
const UNAVAILABLE_PATTERN =
  /could not resolve|connection (refused|reset|timed out|closed)|failed to connect|couldn't connect|network is unreachable|no route to host|operation (timed out|too slow)|early eof|hung up unexpectedly|rpc failed|returned error: (429|5\d\d)|HTTP (429|5\d\d)|gnutls|ssl_error|empty reply/i;
const FILE_REFUSED_PATTERN = /transport 'file' not allowed/i;
const MAX_SHOWN_CHARS = 600;

/** Tells by git's words what kept a fetch from succeeding. */
export function classifyGitFailure(what: string, result: GitResult): CheckoutError {
  const words = result.stderr.trim();
  const shown = words.length > MAX_SHOWN_CHARS ? `…${words.slice(-MAX_SHOWN_CHARS)}` : words;
  const message = `${what} failed: ${shown || `git ended with ${result.exitCode ?? "a signal"}`}`;
  if (result.timedOut)
    return new CheckoutError("checkout_unavailable", `${what} took too long and was stopped. ${shown}`.trim());
  if (FILE_REFUSED_PATTERN.test(words)) {
    return new CheckoutError(
      "checkout_failed",
      `${what} failed: this runner takes no repository from a disk. When the folder is there on the runner's own machine too, its operator allows it with SHIPFOX_GIT_ALLOW_FILE=true; otherwise give the project an https or ssh URL.`,
    );
  }
  if (AUTH_PATTERN.test(words)) {
    return new CheckoutError(
      "checkout_auth_failed",
      `${message}\nThe repository refused the credential of the connection; renew it in the workspace's integrations.`,
    );
  }
  if (UNAVAILABLE_PATTERN.test(words)) return new CheckoutError("checkout_unavailable", message);
  return new CheckoutError("checkout_failed", message);
}
