/**
 * Every error code that a client can meet, with its HTTP status and what it means. The docs are rendered from this table.
 * Shape on the wire: `{code, message, details?}`; `message` is one sentence for people.
 */
export const ERROR_CODES = {
  "validation-error": [400, "A body, query, path or header value does not fit its schema."],
  "empty-json-body": [400, "The content type is JSON but the body is empty."],
  "invalid-json-body": [400, "The body is not JSON."],
  "invalid-content-length": [400, "The body is shorter or longer than its content length."],
  "invalid-cursor": [400, "The cursor was not made by this server or belongs to another list."],
  "invalid-workflow-definition": [400, "The workflow file has faults; details lists them with path, line and column."],
  "malformed-log-chunk": [400, "A log chunk is not whole, valid records."],
  "empty-runner-labels": [400, "A runner needs at least one label."],
  "invalid-repository-url": [400, "The repository URL is not allowed or not understood."],
  "invalid-webhook-url": [400, "The URL of the receiver is not allowed or not understood."],
  "invalid-github-install-state": [
    400,
    "The state of the installation was not made by this server, is too old, or was used; start again.",
  ],
  "invalid-key": [
    400,
    "A key is upper-case letters, digits and `_`, not starting with a digit, at most 128 characters.",
  ],
  "email-challenge-invalid": [400, "The code is wrong, or was not made for this address."],
  "email-challenge-consumed": [400, "The code was used already; sign in."],
  "email-challenge-cooldown": [400, "A code was mailed just now; details.retry_at says when the next may be."],
  "duplicate-key": [400, "A batch names a key twice."],
  "malformed-payload": [400, "The body of the call is not what its content type says."],
  "invalid-webhook-request": [400, "A header or the query of the call is over its limit."],
  "delivery-id-too-long": [400, "The delivery id is over its limit."],
  "egress-denied": [400, "The server calls no such address; details has the reason and the host."],
  unauthorized: [401, "No credential, or one that is unknown, expired or of another kind."],
  "invalid-credentials": [401, "The e-mail address or the password is wrong."],
  "registration-token-expired": [401, "The registration token has expired."],
  "manual-registration-token-revoked": [401, "The registration token was revoked."],
  "runner-revoked": [401, "The runner was revoked."],
  "email-not-verified": [403, "The password is right, but the e-mail address was not verified yet."],
  "password-required": [403, "This needs your password once more, as current_password."],
  "workspace-inactive": [403, "The workspace was deleted."],
  "invitation-email-mismatch": [403, "The invitation is for another e-mail address."],
  forbidden: [403, "Signed in, but not allowed to do this."],
  "signup-not-allowed": [403, "Sign-up is closed; ask an administrator for an invitation."],
  "setup-token-required": [403, "The first account from another machine needs the setup token."],
  "lease-stream-mismatch": [403, "The log belongs to another step than the lease names."],
  "github-install-state-actor-mismatch": [403, "Somebody else started this installation."],
  "github-installation-not-authorized": [403, "GitHub does not show the whole installation to you."],
  "sentry-claim-proof-mismatch": [403, "Sentry does not take the code for this installation."],
  "not-found": [404, "It does not exist, or you may not see it."],
  "project-not-found": [404, "The project does not exist."],
  "secret-not-found": [404, "The scope has no such secret."],
  "variable-not-found": [404, "The scope has no such variable."],
  "manual-trigger-not-found": [404, "The definition does not exist or has no manual trigger."],
  "source-connection-not-found": [404, "The connection does not exist."],
  "integration-connection-not-found": [404, "The connection does not exist."],
  "job-not-found": [404, "The job does not exist."],
  "step-not-found": [404, "The step does not belong to the lease."],
  "lease-not-active": [404, "The lease ended; details.reason says why."],
  "lease-job-mismatch": [404, "The job is not the one the lease names."],
  "running-job-execution-not-found": [404, "The lease ended; stop working on the job."],
  "checkout-unavailable": [404, "The job has nothing to check out."],
  "handler-timeout": [408, "The request took too long."],
  "workspace-suspended": [409, "The workspace is suspended; ask an administrator of the server."],
  "open-invitation-exists": [409, "The address has an open invitation; delete it to make another one."],
  "already-a-member": [409, "The address belongs to a member."],
  "self-removal-not-allowed": [409, "Nobody removes himself; leave the workspace instead."],
  "last-member": [409, "The workspace would have no member."],
  "last-owner": [409, "The workspace would have no owner; make somebody else one first."],
  "email-taken": [409, "An account with this e-mail address exists."],
  "root-key-configured": [409, "The operator gives the root key by a setting, so the server cannot change it."],
  "root-key-ring-full": [409, "There are too many replaced root keys that are still needed."],
  "slug-collision": [409, "Another provider has this slug."],
  "slug-conflict": [409, "The slug is taken."],
  "project-archived": [409, "The project is archived: it starts no runs and is not synced until it is unarchived."],
  "sentry-installation-already-linked": [409, "Another workspace has this installation."],
  "sentry-installation-deleted": [409, "The installation was removed in Sentry; install it again."],
  "slug-already-exists": [409, "A connection of the workspace has this slug."],
  "connection-in-use": [409, "Projects use the connection; details list them."],
  "github-installation-already-linked": [409, "Another workspace has this installation."],
  "project-already-exists": [409, "A project for this connection and repository exists."],
  "run-already-finished": [409, "The run has already ended."],
  "webhook-disabled": [409, "The webhook is disabled; enable it first."],
  "offset-gap": [409, "The log offset is not where the server's copy ends."],
  "idempotency-key-reused": [409, "The Idempotency-Key was used for another call."],
  "idempotency-replay-unavailable": [
    409,
    "The call was carried out before, but its reply is not kept: it held a secret, was large, or the server was interrupted. details.target names what it touched.",
  ],
  "step-not-running": [409, "The step is not running."],
  "step-attempt-ahead": [409, "The attempt is newer than the server knows."],
  "step-attempt-mismatch": [409, "The attempt is not the current one."],
  "step-not-agent": [409, "The step is not an agent step."],
  "leased-step-not-agent": [409, "Only agent steps may use integration tools."],
  "lease-missing-step": [409, "The lease token was not made for a step; use the one that came with the step."],
  "step-not-run": [409, "The step runs no command."],
  "secret-bindings-invalid": [409, "The step's secret bindings cannot be read."],
  "secret-value-invalid": [409, "A secret's stored value cannot be opened; set it again."],
  "workspace-secret-cap-exceeded": [409, "The workspace would have more secrets and variables than the limit."],
  "step-not-checkout": [409, "The step checks nothing out."],
  "claim-key-used": [409, "The Idempotency-Key belongs to a claim whose job already started."],
  "runner-session-exhausted": [409, "The session was ended, revoked or has no claims left."],
  "runner-version-unsupported": [
    409,
    "The runner's version is more than two minor versions away from the control plane's; details has both and the window.",
  ],
  "registration-token-exhausted": [409, "The registration token was used as often as it allows."],
  "runner-credential-reused": [409, "An older runner credential was presented: the credential file was copied."],
  "token-invalid": [410, "The token is unknown, was used, or has expired."],
  "email-challenge-expired": [410, "The code has expired; ask for a new one."],
  "email-challenge-exhausted": [410, "Too many wrong codes, or codes mailed; sign up again for a new one."],
  "events-expired": [410, "Events behind the cursor were deleted; details.oldest_id is the oldest that is kept."],
  "annotation-body-too-large": [413, "An annotation's body is over its limit."],
  "annotation-count-limit-exceeded": [413, "The job execution would have more annotations than the limit."],
  "annotation-total-bytes-limit-exceeded": [413, "The annotations of the job execution would be over their limit."],
  "invitation-token-invalid": [410, "There is no such invitation, or it was withdrawn."],
  "invitation-token-used": [410, "The invitation was accepted before."],
  "invitation-token-expired": [410, "The invitation has expired; ask for another one."],
  "token-already-used": [410, "The token was used before."],
  "token-expired": [410, "The token has expired."],
  "value-too-large": [413, "The value is over its limit."],
  "body-too-large": [413, "The body is over its limit."],
  "range-not-satisfiable": [416, "The range lies behind the end of the text."],
  "invalid-media-type": [415, "The content type is not supported here."],
  "unsupported-media-type": [415, "The content type is none of those that a custom webhook takes."],
  "source-connection-inactive": [422, "The connection is disabled."],
  "integration-connection-inactive": [422, "The connection is disabled."],
  "integration-provider-unavailable": [422, "This server is not set up for the provider."],
  "integration-capability-unavailable": [422, "The connection cannot serve source code."],
  "repository-not-found": [422, "The repository does not exist or the connection may not read it."],
  "access-denied": [422, "The repository refused the connection's credential."],
  "installation-not-found": [422, "GitHub does not know the installation any more."],
  "provider-rejected": [422, "The provider refused the request."],
  "malformed-provider-response": [422, "The provider's answer is not understood."],
  "content-too-large": [422, "A file or the repository is over its limit."],
  "too-many-files": [422, "There are more workflow files than the limit."],
  "workflow-interpolation-unresolvable": [
    422,
    "An expression of the workflow has no value, so the run was not created; details name it.",
  ],
  "workspace-label-sets-exhausted": [422, "The workspace has more distinct label sets than the limit."],
  "webhooks-exhausted": [422, "The workspace has more webhooks than the limit."],
  "access-tokens-exhausted": [422, "You have more personal access tokens than the limit."],
  "provider-unsupported": [422, "The catalogue has no such provider that can be configured."],
  "provider-not-configured": [422, "The provider is not configured in this workspace."],
  "provider-validation-failed": [422, "The provider did not answer as it should; details has what it said."],
  "invalid-credential-fields": [422, "The provider takes exactly the credentials that details names."],
  "invalid-agent-model": [422, "The provider has no such model."],
  "invalid-header-keep": [422, "No secret header of this name is stored that could be kept."],
  "stored-secret-base-url-changed": [422, "Stored secrets are not sent to another address; give them again."],
  "agent-providers-exhausted": [422, "The workspace has more custom model providers than the limit."],
  "registry-credentials-exhausted": [422, "The workspace has more registry credentials than the limit."],
  "concurrency-limit": [429, "The workspace has as many runs going as it may at once, and the call asked not to wait."],
  "rate-limited": [429, "Too many requests; Retry-After says when to try again."],
  "email-challenge-limited": [429, "Too many codes were mailed; details.retry_at says when the next may be."],
  "too-many-streams": [429, "Too many open streams."],
  "server-error": [500, "A fault of the server; the log has the details."],
  "store-unavailable": [503, "The database did not answer."],
  overloaded: [503, "Too many writes are waiting."],
  "shutting-down": [503, "The server is stopping; try again shortly."],
  "provider-unavailable": [503, "The repository's host did not answer."],
  "sentry-verification-in-progress": [503, "The installation is being linked; try again in a moment."],
  timeout: [503, "The repository's host took too long."],
  "storage-full": [507, "The disk is full; nothing was changed."],
} as const satisfies Record<string, readonly [status: number, meaning: string]>;

export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * An error a client is meant to see. Anything else becomes `server-error` without details. `status` is for the few codes
 * that one protocol answers with another status than the table's.
 */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly details: unknown;
  readonly headers: Record<string, string>;

  constructor(
    code: ErrorCode,
    message?: string,
    options: { details?: unknown; headers?: Record<string, string>; cause?: unknown; status?: number } = {},
  ) {
    super(message ?? ERROR_CODES[code][1], options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? ERROR_CODES[code][0];
    this.details = options.details;
    this.headers = options.headers ?? {};
  }

  toBody(): { code: ErrorCode; message: string; details?: unknown } {
    return { code: this.code, message: this.message, ...(this.details === undefined ? {} : { details: this.details }) };
  }
}
