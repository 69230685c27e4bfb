import { errorSchema } from "@shipfox/shared/api/values";

const DISK_FULL_STATUS = 507;

export interface ClientErrorFacts {
  readonly code: string;
  readonly status?: number;
  readonly details?: unknown;
  readonly requestId?: string | null;
  readonly retryAfterMs?: number | null;
  readonly cause?: unknown;
}

/**
 * A call that did not succeed. `code` is one of the server's (docs/errors.md), or
 * - `http-<status>`: an error answer without a code, of a proxy for instance;
 * - `connection-failed`: no answer, or none in time; whether the server did something is unknown;
 * - `unexpected-reply`: an answer of another shape than the contract's; `details` has `request` and `problem`.
 *
 * A call that the caller's own signal ended rejects with the reason of that signal instead.
 */
export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: string;
  /** Null when there was no error answer: `connection-failed` and `unexpected-reply`. */
  readonly status: number | null;
  readonly details: unknown;
  /** `X-Request-Id` of the answer, by which the server's log and audit log know the call. */
  readonly requestId: string | null;
  /** How long the server asks to wait before the next try. */
  readonly retryAfterMs: number | null;

  constructor(message: string, facts: ClientErrorFacts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.status = facts.status ?? null;
    this.details = facts.details;
    this.requestId = facts.requestId ?? null;
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }

  /** Whether the same call may succeed a moment later. Not whether repeating it is safe. */
  get isTransient(): boolean {
    if (this.status === null) return this.code === "connection-failed";
    return this.status === 408 || this.status === 429 || (this.status >= 500 && this.status !== DISK_FULL_STATUS);
  }
}

/** The error of an answer that is not 2xx; takes its body. */
export async function errorOf(response: Response): Promise<ClientError> {
  const { status, headers } = response;
  const parsed = errorSchema.safeParse(parseJson(await response.text().catch(() => "")));
  const seconds = Number(headers.get("retry-after"));
  const { code, message, details } = parsed.success ? parsed.data : { code: `http-${status}` };
  return new ClientError(message ?? `The control plane answered ${status}.`, {
    code,
    status,
    details,
    requestId: headers.get("x-request-id"),
    retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null,
  });
}

export function connectionFailed(url: string, reason: string, cause?: unknown): ClientError {
  return new ClientError(`No answer from ${url}: ${reason}.`, { code: "connection-failed", cause });
}

/** `request` as `GET /projects`; `problem` says what was wrong, as ` at next_cursor: expected string`. */
export function unexpectedReply(request: string, problem: string, cause?: unknown): ClientError {
  return new ClientError(`The reply to ${request} is not what this client expects${problem}.`, {
    code: "unexpected-reply",
    details: { request, problem },
    cause,
  });
}

/** Undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
