import { randomUUID } from "node:crypto";
import { IDEMPOTENCY_KEY_HEADER } from "@shipfox/shared/machine";
import { VERSION } from "@shipfox/shared/version";
import { backOff } from "./back-off.ts";
import { ClientError, connectionFailed, errorOf, parseJson, unexpectedReply } from "./client-error.ts";
import { type Operation, type Parts, partsOf } from "./operation.ts";

const TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 15_000;
const RETRIES = 4;
/** A server that asks for more patience than this is told to the caller instead. */
const MAX_RETRY_AFTER_MS = 30_000;

/** Where bearer tokens come from. Both methods may be called concurrently. */
export interface TokenSource {
  /** A token that is believed to be good. */
  current(): Promise<string>;
  /** A newer token than `rejected`, which the control plane refused. Throws when the session has ended. */
  renew(rejected: string): Promise<string>;
}

export interface ClientOptions {
  /** `https://shipfox.example`, without a slash at its end. */
  readonly baseUrl: string;
  /** A token for every call, as `sf_pat_…`, or where it comes from. Without one only what needs no credential works. */
  readonly token?: string | TokenSource;
  /** Of one try, from its start to the last byte of the answer; 30 s. Operations known to be slow have their own. */
  readonly timeoutMs?: number;
  /** How often at most a call that may safely be repeated is; 4. */
  readonly retries?: number;
  /** Ends all calls and streams of the client. */
  readonly signal?: AbortSignal;
  readonly userAgent?: string;
}

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly retries?: number;
  readonly signal?: AbortSignal;
  /** Instead of a random one: 1 to 256 visible ASCII characters. For calls that are to count once over restarts of the caller. */
  readonly idempotencyKey?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer with what is around its body. */
export interface Reply<Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly requestId: string | null;
  readonly body: Body;
}

interface Exchange {
  readonly operation: Operation;
  readonly parts: Parts;
  readonly headers: Readonly<Record<string, string>>;
}

/** Speaks HTTP to one control plane. Adds the bearer token when there is one, and renews it once on 401. */
export class Transport {
  readonly #options: ClientOptions;
  readonly #tokens: TokenSource | null;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#tokens = typeof options.token === "string" ? new FixedToken(options.token) : (options.token ?? null);
  }

  /** Sends, reads the whole reply and checks it. Throws ClientError, or the reason of an aborted signal. */
  async call(operation: Operation, input: object, options: CallOptions): Promise<Reply<unknown>> {
    const retries = options.retries ?? this.#options.retries ?? RETRIES;
    const key = options.idempotencyKey ?? (operation.keyed ? randomUUID() : undefined);
    const exchange: Exchange = {
      operation,
      parts: partsOf(operation, { ...input }),
      headers: { ...(key === undefined ? {} : { [IDEMPOTENCY_KEY_HEADER]: key }), ...options.headers },
    };
    const isRepeatable = operation.method === "GET" || operation.method === "PUT" || key !== undefined;
    const signal = anyOf(options.signal, this.#options.signal);
    for (let failures = 0; ; ) {
      try {
        return await this.#try(exchange, options.timeoutMs, signal);
      } catch (error) {
        failures += 1;
        if (failures > retries || !mayRepeat(error, isRepeatable)) throw error;
        await backOff(failures, signal, error);
      }
    }
  }

  /** Sends and hands back the response with its body unread. The caller must read or cancel the body. */
  async stream(
    operation: Operation,
    input: object,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    const connecting = new AbortController();
    const timer = setTimeout(
      () => connecting.abort(new DOMException("no headers in time", "TimeoutError")),
      CONNECT_TIMEOUT_MS,
    );
    try {
      const exchange = { operation, parts: partsOf(operation, { ...input }), headers };
      const stop = anyOf(signal, this.#options.signal);
      return await this.#send(exchange, stop, AbortSignal.any([stop, connecting.signal]));
    } finally {
      clearTimeout(timer);
    }
  }

  async #try(exchange: Exchange, timeoutMs: number | undefined, stop: AbortSignal): Promise<Reply<unknown>> {
    const limit = timeoutMs ?? exchange.operation.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS;
    const response = await this.#send(exchange, stop, AbortSignal.any([stop, AbortSignal.timeout(limit)]));
    const text = await response.text().catch((error: unknown) => this.#fail(error, stop));
    const { status, headers } = response;
    return { status, headers, requestId: headers.get("x-request-id"), body: readBody(exchange, text) };
  }

  async #send(exchange: Exchange, stop: AbortSignal, signal: AbortSignal): Promise<Response> {
    const token = await this.#tokens?.current();
    const first = await this.#fetch(exchange, stop, signal, token);
    if (first.ok) return first;
    const refused = await errorOf(first);
    if (first.status !== 401 || !this.#tokens || token === undefined) throw refused;
    const renewed = await this.#tokens.renew(token);
    if (renewed === token) throw refused;
    const second = await this.#fetch(exchange, stop, signal, renewed);
    if (!second.ok) throw await errorOf(second);
    return second;
  }

  async #fetch(exchange: Exchange, stop: AbortSignal, signal: AbortSignal, token?: string): Promise<Response> {
    const { operation, parts } = exchange;
    const url = new URL(`${this.#options.baseUrl}${parts.path}`);
    for (const [name, value] of parts.query) url.searchParams.append(name, value);
    const headers: Record<string, string> = {
      accept: "application/json",
      "user-agent": this.#options.userAgent ?? `shipfox-client/${VERSION}`,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(parts.body === undefined ? {} : { "content-type": "application/json" }),
      ...exchange.headers,
    };
    try {
      return await fetch(url, {
        method: operation.method,
        headers,
        body: parts.body === undefined ? undefined : JSON.stringify(parts.body),
        signal,
        // A redirect would carry the bearer token or the password to another place.
        redirect: "error",
      });
    } catch (error) {
      return this.#fail(error, stop);
    }
  }

  #fail(error: unknown, stop: AbortSignal): never {
    if (stop.aborted) throw error;
    throw connectionFailed(this.#options.baseUrl, describeNetworkError(error), error);
  }
}

/** Refused is refused: there is no newer one. */
class FixedToken implements TokenSource {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  current(): Promise<string> {
    return Promise.resolve(this.#token);
  }

  renew(): Promise<string> {
    return Promise.resolve(this.#token);
  }
}

/** A call that was turned away at the door, for its rate, did nothing and may come again whatever it is. */
function mayRepeat(error: unknown, isRepeatable: boolean): boolean {
  if (!(error instanceof ClientError) || !error.isTransient) return false;
  if ((error.retryAfterMs ?? 0) > MAX_RETRY_AFTER_MS) return false;
  return error.status === 429 ? error.code === "rate-limited" : isRepeatable;
}

function readBody({ operation, parts }: Exchange, text: string): unknown {
  const { reply } = operation;
  if (reply === "text") return text;
  if (reply === null) return undefined;
  if (typeof reply === "string") throw new TypeError(`${operation.path} is a stream`);
  const result = reply.safeParse(text === "" ? undefined : parseJson(text));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = issue && issue.path.length > 0 ? ` at ${issue.path.join(".")}` : "";
  throw unexpectedReply(
    `${operation.method} ${parts.path}`,
    `${place}: ${issue?.message ?? "unknown shape"}`,
    result.error,
  );
}

function anyOf(...signals: (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
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
