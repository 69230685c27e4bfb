import { type Client, createClient } from "@shipfox/client";
import { errorSchema } from "@shipfox/shared/api/values";

const CALL_LIMIT_MS = 30_000;

/** A zod schema, as far as it is needed here. */
export interface Schema<T> {
  parse(value: unknown): T;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: unknown;
}

export interface CallOptions {
  readonly token?: string | null;
  /** Sent as JSON; a string or bytes go out as they are. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly limitMs?: number;
}

/** One HTTP call. Rejects only when there was no answer. */
export async function call(url: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { token, body, headers } = options;
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: isRaw ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(options.limitMs ?? CALL_LIMIT_MS),
  });
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : null };
}

/** Calls as one user, with the client or by a path; every answer is checked against its schema, and nothing is repeated. */
export class Api {
  readonly url: string;
  readonly token: string | null;
  readonly client: Client;

  constructor(url: string, token: string | null = null) {
    this.url = url;
    this.token = token;
    this.client = createClient({ baseUrl: url, token: token ?? undefined, retries: 0 });
  }

  call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    return call(this.url, method, path, { token: this.token, ...options });
  }

  async get<T>(schema: Schema<T>, path: string): Promise<T> {
    return schema.parse(succeeded("GET", path, await this.call("GET", path)).body);
  }

  async post<T>(schema: Schema<T>, path: string, body?: unknown): Promise<T> {
    return schema.parse(succeeded("POST", path, await this.call("POST", path, { body })).body);
  }

  /** A call that must be refused: answers the error, with its status. */
  async refused(method: string, path: string, options: CallOptions = {}): Promise<Refusal> {
    return refusalOf(await this.call(method, path, options));
  }
}

export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly details: unknown;
}

/** The error of an answer; every error has a message for people. */
export function refusalOf(answer: Answer): Refusal {
  if (answer.status < 400) throw new Error(`expected a refusal, got ${answer.status} ${answer.text}`);
  const { code, message, details } = errorSchema.parse(answer.body);
  if (!message) throw new Error(`the error ${code} has no message`);
  return { status: answer.status, code, message, details };
}

function succeeded(method: string, path: string, answer: Answer): Answer {
  if (answer.status >= 400) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer;
}
