import { ApiFailure } from "../api-failure.ts";
import type { CliError } from "../cli-error.ts";
import type { Colors } from "../terminal.ts";
import { plainText } from "./plain-text.ts";

/** What to type after an error of the API, by its code. Commands that know better say so in the error itself. */
const NEXT_BY_CODE: Record<string, readonly string[]> = {
  unauthorized: ["shipfox login"],
  "invalid-credentials": ["shipfox login", "on a new instance: shipfox login --signup"],
  "signup-not-allowed": ["ask an administrator for an invitation"],
  "setup-token-required": [
    "read the setup token in the control plane's first log lines, then: SHIPFOX_SETUP_TOKEN=<token> shipfox login --signup",
  ],
  "email-taken": ["shipfox login"],
  "open-invitation-exists": [
    "shipfox members resend <email>",
    "to invite with another role: shipfox members withdraw <email>, then invite again",
  ],
  forbidden: ["shipfox whoami", "to see who can give you another role: shipfox members list"],
  "not-found": ["shipfox runs list"],
  "project-not-found": ["shipfox projects list"],
  "manual-trigger-not-found": [
    "add to the workflow: triggers: { by_hand: { source: manual, event: fire } }, then: shipfox projects sync",
  ],
  "run-already-finished": ["shipfox runs list"],
  "run-not-terminal": ["shipfox runs cancel <run>"],
  "no-failed-jobs": ["shipfox runs rerun <run>"],
  "slug-conflict": ["choose another one with --slug"],
  "project-already-exists": ["shipfox projects list"],
  "invalid-repository-url": ["shipfox projects create --help"],
  "repository-not-found": ["check the URL with: git ls-remote <url>"],
  "access-denied": ["give a token: shipfox projects create --repo <url> --git-token-stdin < token.txt"],
  "invalid-workflow-definition": ["shipfox validate"],
};

/** A refusal that names the setting by which an operator would allow what was asked for, and what goes without it. */
const NEXT_WITHOUT_SETTING: Record<string, readonly string[]> = {
  SHIPFOX_GIT_ALLOW_FILE: [
    "put a clone into the folder DATA/repositories of the control plane, which needs no setting, and give its file:// URL",
    "where the operator allowed it: shipfox projects create --repo file:///srv/git/app.git",
  ],
};

export function nextSteps(error: CliError): readonly string[] {
  if (error.next.length > 0) return error.next;
  if (error.code === "connection-failed") {
    return [
      "start the control plane, or choose another one: shipfox login --url <address>",
      "to see what is wrong: shipfox doctor",
    ];
  }
  if (error instanceof ApiFailure && error.retryAfterMs !== null) {
    return [`try again in ${Math.ceil(error.retryAfterMs / 1000)} s`];
  }
  return nextByDetails(error) ?? NEXT_BY_CODE[error.code] ?? [];
}

function nextByDetails(error: CliError): readonly string[] | undefined {
  if (!(error instanceof ApiFailure)) return undefined;
  const { allowed_by: setting, needed, abilities } = Object(error.details) as Record<string, unknown>;
  if (typeof setting === "string") return NEXT_WITHOUT_SETTING[setting];
  // Only a refused access token is told with its abilities; a person's role is not.
  if (error.code !== "forbidden" || typeof needed !== "string" || !Array.isArray(abilities)) return undefined;
  const wanted = [...abilities, needed].join(" ");
  return [`signed in with your password: shipfox tokens create NAME --ability ${wanted}`];
}

/** For stderr: the message, the code in dim, then one line for each way on. */
export function renderError(error: CliError, colors: Colors): string {
  const code = error.code === "usage" || error.code === "interrupted" ? "" : ` ${colors.dim(`(${error.code})`)}`;
  const lines = [`${colors.red("✗")} ${plainText(error.message)}${code}`];
  for (const step of nextSteps(error)) lines.push(`  ${colors.dim("next:")} ${plainText(step)}`);
  return lines.join("\n");
}

/** For stdout with `--json`. */
export function errorDocument(error: CliError): unknown {
  const details =
    error instanceof ApiFailure && error.status !== null ? { status: error.status, details: error.details } : {};
  return { error: { code: error.code, message: error.message, ...details, next: nextSteps(error) } };
}
