import { setTimeout as sleep } from "node:timers/promises";
import { errorSchema } from "@shipfox/shared/api/values";
import { VERSION } from "@shipfox/shared/version";
import type { z } from "zod";
import { CliError } from "./cli-error.ts";
import { EXIT } from "./exit-codes.ts";

export const DEFAULT_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 15_000;
const DISK_FULL_STATUS = 507;
/** What the command line named does not exist, or is not written as it must be. */
const USAGE_STATUSES: ReadonlySet<number> = new Set([400, 404, 422]);

/** The control plane answered with an error. */
export class ApiFailure extends CliError {
  override readonly name = "ApiFailure";
  readonly status: number;
  readonly details: unknown;
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    body: { code: string; message?: string; details?: unknown },
    retryAfterMs: number | null,
  ) {
    const exitCode = USAGE_STATUSES.has(status) && body.message !== undefined ? EXIT.usage : EXIT.api;
    super(body.message ?? `The control plane answered ${status}.`, { exitCode, code: body.code });
    this.status = status;
    this.details = body.details;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The control plane could not be reached, or stopped answering. */
export class ConnectionFailure extends CliError {
  override readonly name = "ConnectionFailure";

  constructor(url: string, reason: string, cause?: unknown) {
    super(`No answer from ${url}: ${reason}.`, { exitCode: EXIT.api, code: "connection-failed", cause });
  }
}

/** True when the same request may succeed a moment later. */
export function isTransient(error: unknown): boolean {
  if (error instanceof ConnectionFailure) return true;
  if (!(error instanceof ApiFailure)) return false;
  return error.status === 408 || error.status === 429 || (error.status >= 500 && error.status !== DISK_FULL_STATUS);
}

/** Where bearer tokens come from. Both methods may be called concurrently. */
export interface TokenSource {
  /** A token that is believed to be good. */
  current(): Promise<string>;
  /** A newer token than `rejected`, which the control plane refused. Throws CliError when the session has ended. */
  renew(rejected: string): Promise<string>;
}

export interface ApiRequest {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  headers?: Record<string, string>;
  /** For the whole exchange of `exchange`; for `stream` only until the headers have come. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface ApiReply<Body> {
  body: Body;
  headers: Headers;
}

/** Speaks HTTP to one control plane. Adds the bearer token when there is a source, and renews it once on 401. */
export class HttpTransport {
  readonly baseUrl: string;
  readonly #tokens: TokenSource | null;

  constructor(baseUrl: string, tokens: TokenSource | null = null) {
    this.baseUrl = baseUrl;
    this.#tokens = tokens;
  }

  /** Sends, reads the whole reply and checks it. Throws ApiFailure, ConnectionFailure, or CliError on an unknown shape. */
  async exchange<Schema extends z.ZodType>(request: ApiRequest, schema: Schema): Promise<ApiReply<z.output<Schema>>> {
    const deadline = AbortSignal.timeout(request.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const signal = request.signal ? AbortSignal.any([request.signal, deadline]) : deadline;
    const response = await this.#send(request, signal);
    const text = await response.text().catch((error: unknown) => this.#rethrow(error, request));
    return { body: parseReply(request, text, schema), headers: response.headers };
  }

  /** Sends and hands back the response with its body unread. The caller must read or cancel the body. */
  async stream(request: ApiRequest): Promise<Response> {
    const connecting = new AbortController();
    const timer = setTimeout(
      () => connecting.abort(new DOMException("no headers in time", "TimeoutError")),
      request.timeoutMs ?? CONNECT_TIMEOUT_MS,
    );
    try {
      const signal = request.signal ? AbortSignal.any([request.signal, connecting.signal]) : connecting.signal;
      return await this.#send(request, signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<Response> {
    const token = await this.#tokens?.current();
    const first = await this.#fetch(request, signal, token);
    if (first.status !== 401 || !this.#tokens || token === undefined) return await refuseErrors(first);
    await first.body?.cancel();
    return await refuseErrors(await this.#fetch(request, signal, await this.#tokens.renew(token)));
  }

  async #fetch(request: ApiRequest, signal: AbortSignal, token: string | undefined): Promise<Response> {
    const url = new URL(`${this.baseUrl}${request.path}`);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const headers: Record<string, string> = {
      accept: "application/json",
      "user-agent": `shipfox-cli/${VERSION}`,
      ...request.headers,
    };
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    if (request.body !== undefined) headers["content-type"] = "application/json";
    try {
      return await fetch(url, {
        method: request.method,
        headers,
        body: request.body === undefined ? undefined : JSON.stringify(request.body),
        signal,
        // A redirect would carry the bearer token or the password to another place.
        redirect: "error",
      });
    } catch (error) {
      return this.#rethrow(error, request);
    }
  }

  #rethrow(error: unknown, request: ApiRequest): never {
    if (request.signal?.aborted) throw error;
    throw new ConnectionFailure(this.baseUrl, describeNetworkError(error), error);
  }
}

async function refuseErrors(response: Response): Promise<Response> {
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  const parsed = errorSchema.safeParse(parseJson(text));
  const seconds = Number(response.headers.get("retry-after"));
  const body = parsed.success ? parsed.data : { code: `http-${response.status}` };
  throw new ApiFailure(response.status, body, Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null);
}

function parseReply<Schema extends z.ZodType>(request: ApiRequest, text: string, schema: Schema): z.output<Schema> {
  const result = schema.safeParse(text === "" ? undefined : parseJson(text));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = issue && issue.path.length > 0 ? ` at ${issue.path.join(".")}` : "";
  throw new CliError(
    `The reply to ${request.method} ${request.path} is not what this command expects${place}: ${issue?.message ?? "unknown shape"}.`,
    {
      exitCode: EXIT.api,
      code: "unexpected-reply",
      next: [`compare the versions of the control plane and of this command (${VERSION}): shipfox --version`],
    },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What OpenSSL says to the first bytes of somebody who answers in plain text. */
const NO_TLS_CODES: ReadonlySet<string> = new Set(["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG"]);

function describeNetworkError(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return "the connection failed";
  if (cause.name === "TimeoutError" || cause.name === "AbortError") return "it took too long";
  const code = (cause as NodeJS.ErrnoException).code;
  if (code !== undefined && NO_TLS_CODES.has(code))
    return "it does not speak TLS at this port; if it is meant to be unencrypted, write http:// instead of https://";
  if (code === "ECONNREFUSED") return "the connection was refused";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "the host name is unknown";
  if (code === "ECONNRESET" || code === "UND_ERR_SOCKET") return "the connection was cut";
  return cause.message || code || "the connection failed";
}

const RETRY_BASE_MS = 250;
const RETRY_MAX_MS = 4_000;

/** Waits before try number `failures` + 1: exponential with full jitter, never less than the server asked for. */
export async function backOff(failures: number, signal: AbortSignal, error?: unknown): Promise<void> {
  const ceiling = Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** (failures - 1));
  const asked = error instanceof ApiFailure ? (error.retryAfterMs ?? 0) : 0;
  await sleep(Math.max(asked, ceiling / 2 + Math.random() * (ceiling / 2)), undefined, { signal });
}
