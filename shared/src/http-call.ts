import { Agent as HttpAgent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { RefusedError, UnreachableError } from "./call-error.ts";

const MAX_REPLY_BYTES = 8 * 1024 * 1024;
const MAX_SHOWN_BODY_CHARS = 200;
const KEEP_ALIVE_MS = 30_000;
const MAX_RETRY_AFTER_MS = 300_000;

export interface Call {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Relative to the base URL, without a leading slash. */
  path: string;
  headers: Record<string, string>;
  body?: Buffer | undefined;
  /** From the start to the last byte of the answer, in milliseconds. */
  timeoutMs: number;
  signal?: AbortSignal | undefined;
}

export interface Answer {
  status: number;
  retryAfterMs: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Sends calls to one base URL over kept-alive connections. Rejects with UnreachableError when there was no whole answer. */
export class HttpCaller {
  private readonly base: URL;
  private readonly peer: string;
  private readonly agent: HttpAgent | HttpsAgent;
  private readonly start: typeof httpRequest;

  /** `peer` begins the sentences of errors. */
  constructor(baseUrl: string, certificateAuthority: string | null, peer = "The control plane") {
    this.peer = peer;
    this.base = new URL(baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`);
    const isTls = this.base.protocol === "https:";
    this.start = isTls ? httpsRequest : httpRequest;
    const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS };
    this.agent = isTls
      ? new HttpsAgent({ ...options, ...(certificateAuthority === null ? {} : { ca: certificateAuthority }) })
      : new HttpAgent(options);
  }

  send(call: Call): Promise<Answer> {
    const signal = AbortSignal.any([AbortSignal.timeout(call.timeoutMs), ...(call.signal ? [call.signal] : [])]);
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(this.describe(error, call));
      const headers =
        call.body === undefined
          ? { ...call.headers, "content-length": "0" }
          : { ...call.headers, "content-length": String(call.body.length) };
      const request = this.start(
        new URL(call.path, this.base),
        { method: call.method, agent: this.agent, headers, signal },
        (response) => {
          collect(response).then(
            (body) =>
              resolve({
                status: response.statusCode ?? 0,
                retryAfterMs: parseRetryAfter(response.headers["retry-after"]),
                headers: response.headers,
                body,
              }),
            fail,
          );
        },
      );
      request.on("error", fail);
      request.end(call.body);
    });
  }

  close(): void {
    this.agent.destroy();
  }

  private describe(error: Error, call: Call): Error {
    if (call.signal?.aborted) return new UnreachableError("The call was given up.", { cause: error });
    const isTimeout = error.name === "AbortError" || error.name === "TimeoutError";
    const why = isTimeout ? `no answer within ${call.timeoutMs} ms` : describeNetworkError(error);
    return new UnreachableError(`${this.peer} at ${this.base.origin} could not be reached: ${why}.`, {
      cause: error,
    });
  }
}

/** The typed error of an answer that is not a success. */
export function refusal(answer: Answer): RefusedError {
  const text = answer.body.toString("utf8");
  let body: { code?: unknown; message?: unknown; details?: unknown } = {};
  try {
    body = Object(JSON.parse(text));
  } catch {
    body = {};
  }
  const code = typeof body.code === "string" ? body.code : "";
  const message =
    typeof body.message === "string"
      ? body.message
      : code || text.slice(0, MAX_SHOWN_BODY_CHARS) || "no further details";
  return new RefusedError({
    status: answer.status,
    code,
    message: `${message} (HTTP ${answer.status})`,
    details: body.details,
    retryAfterMs: answer.retryAfterMs,
  });
}

/** Node wraps the failures of several addresses (IPv4 and IPv6) into one error without a message. */
function describeNetworkError(error: Error): string {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message;
  return error.message || error.name;
}

async function collect(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response) {
    bytes += part.length;
    if (bytes > MAX_REPLY_BYTES) throw new Error(`the answer is longer than ${MAX_REPLY_BYTES} bytes`);
    parts.push(part);
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, bytes);
}

/** Seconds or an HTTP date, as milliseconds from now, at most 5 minutes. */
function parseRetryAfter(header: string | undefined): number {
  if (header === undefined) return 0;
  const milliseconds = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(milliseconds) ? Math.min(MAX_RETRY_AFTER_MS, Math.max(0, milliseconds)) : 0;
}
