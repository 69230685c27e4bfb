import { ApiError, type ErrorCode } from "@shipfox/shared/errors";

const MAX_QUOTED_CHARS = 300;

type Cause = readonly [pattern: RegExp, code: ErrorCode, meaning: string];

/** First match wins: what git and ssh print, in the C locale. The host writes some of it, so no pattern may repeat a wildcard. */
const CAUSES: readonly Cause[] = [
  [
    /error: 3\d\d|unable to update url base from redirection/,
    "repository-not-found",
    "the host redirects to another address; give the connection the final URL",
  ],
  [
    /Authentication failed|could not read (Username|Password)|error: 40[13]\b|Permission denied|Host key verification failed|access denied/i,
    "access-denied",
    "the host refused the connection's credential, or the repository needs one",
  ],
  [
    /File too large|exceeds maximum allowed size|too large/i,
    "content-too-large",
    "the repository is over the limit for fetching workflow files",
  ],
  [
    /not found|error: 40[04]\b|error: 410\b|does not appear to be a git repository|does not exist|no such file or directory|no path specified/i,
    "repository-not-found",
    "there is no such repository, or the connection may not read it",
  ],
  [/timed out|Operation too slow|timeout/i, "timeout", "the host took too long to answer"],
];
const UNKNOWN_CAUSE: Cause = [/^/, "provider-unavailable", "the repository's host did not answer as a git server"];

/** Turns the end of a git process that failed into the error that a client sees. `stderr` is quoted in part. */
export function gitFailure(outcome: {
  stderr: string;
  timedOut: boolean;
  overOutput: boolean;
  signal: string | undefined;
}): ApiError {
  if (outcome.timedOut)
    return new ApiError("timeout", "the repository's host took too long to answer; try again later");
  if (outcome.overOutput || outcome.signal === "SIGXFSZ") {
    return new ApiError("content-too-large", "the repository is over the limit for fetching workflow files");
  }
  const [, code, meaning] = CAUSES.find(([pattern]) => pattern.test(outcome.stderr)) ?? UNKNOWN_CAUSE;
  const said = quote(outcome.stderr);
  return new ApiError(code, said === "" ? meaning : `${meaning} (git: ${said})`);
}

/** The telling line, without control characters, for a message of one sentence. */
function quote(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.replaceAll(/\p{Cc}/gu, " ").trim());
  const telling =
    lines.find((line) => /^(fatal|error|remote|ssh)\b/i.test(line)) ?? lines.find((line) => line !== "") ?? "";
  return telling.slice(0, MAX_QUOTED_CHARS);
}
