import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, type ErrorCode } from "@shipfox/shared/errors";
import type { z } from "zod";

const TRY_TIMEOUT_MS = 10_000;
const MAX_TRIES = 3;
const FIRST_BACKOFF_MS = 250;
/** A longer wait is the caller's business: it is told by `retry_after_seconds`. */
const MAX_WAIT_MS = 5_000;
const DEFAULT_RATE_LIMIT_WAIT_SECONDS = 60;
const MAX_REPLY_BYTES = 8 * 1024 * 1024;
const MAX_REDIRECTS = 3;
const MAX_QUOTED_CHARS = 200;
const API_VERSION = "2022-11-28";

export interface GitHubCall {
  readonly method: "GET" | "POST" | "PATCH";
  /** Below the API's address, with its query; or a whole address of the operator's GitHub. */
  readonly path: string;
  /** Bearer credential: the app's own token, an installation's or a user's. */
  readonly token?: string;
  readonly body?: unknown;
  /** False for calls that must not be made twice. */
  readonly repeatable?: boolean;
  /** What a 404 means here; otherwise that the app may not see it. */
  readonly notFound?: ErrorCode;
}

/**
 * Calls GitHub's REST API. A call has three tries of 10 s when GitHub fails or asks to slow down; a wait it asks for that
 * is longer than 5 s is left to the caller.
 *
 * Throws ApiError: `access-denied`, `rate-limited` (details `{retry_after_seconds}`), `provider-rejected`,
 * `malformed-provider-response`, `provider-unavailable`, `timeout`, or what the call says for 404.
 */
export class GitHubApi {
  readonly #baseUrl: string;
  readonly #stop = new AbortController();

  constructor(baseUrl: string) {
    this.#baseUrl = baseUrl;
  }

  /** Ends the calls that run, with `shutting-down`; later ones are refused. */
  close(): void {
    this.#stop.abort();
  }

  async call<S extends z.ZodType>(call: GitHubCall, schema: S): Promise<z.output<S>> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return this.#read(call, schema, await this.#send(call));
      } catch (error) {
        const waitMs = retryWait(error, attempt);
        if (waitMs === null || call.repeatable === false || attempt === MAX_TRIES) throw error;
        await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => {
          throw new ApiError("shutting-down");
        });
      }
    }
  }

  #read<S extends z.ZodType>(call: GitHubCall, schema: S, text: string): z.output<S> {
    let value: unknown;
    try {
      value = text === "" ? null : JSON.parse(text);
    } catch (error) {
      throw malformed(call, "it is not JSON", error);
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    const issue = parsed.error.issues[0];
    throw malformed(call, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
  }

  async #send(call: GitHubCall): Promise<string> {
    const signal = AbortSignal.any([AbortSignal.timeout(TRY_TIMEOUT_MS), this.#stop.signal]);
    let url = new URL(call.path.startsWith("/") ? this.#baseUrl + call.path : call.path);
    for (let redirects = 0; ; redirects += 1) {
      const response = await this.#fetch(url, call, signal);
      const target = redirectTarget(response, url);
      if (!target) return await answer(call, response);
      await response.body?.cancel();
      // The credential goes to the host that the operator named, and to no other.
      if (target.origin !== url.origin || redirects === MAX_REDIRECTS) throw malformed(call, "it leads elsewhere");
      url = target;
    }
  }

  async #fetch(url: URL, { method, token, body }: GitHubCall, signal: AbortSignal): Promise<Response> {
    try {
      return await fetch(url, {
        method,
        redirect: "manual",
        signal,
        headers: {
          accept: "application/vnd.github+json, application/json",
          "user-agent": "shipfox",
          "x-github-api-version": API_VERSION,
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw unreachable(error);
    }
  }
}

function redirectTarget(response: Response, from: URL): URL | null {
  const location = response.headers.get("location");
  if (![301, 302, 307, 308].includes(response.status) || location === null || !URL.canParse(location, from.href))
    return null;
  return new URL(location, from);
}

async function answer(call: GitHubCall, response: Response): Promise<string> {
  let text: string;
  try {
    text = await readBounded(call, response);
  } catch (error) {
    throw error instanceof ApiError ? error : unreachable(error);
  }
  if (response.ok) return text;
  throw failure(call, response, text);
}

async function readBounded(call: GitHubCall, response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_REPLY_BYTES) throw malformed(call, `it is longer than ${MAX_REPLY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString("utf8");
}

function failure(call: GitHubCall, response: Response, text: string): ApiError {
  const { status } = response;
  const said = quote(text);
  const retryAfter = slowDown(response, text);
  if (retryAfter !== null) {
    return new ApiError("rate-limited", `GitHub asks to slow down; try again in ${retryAfter} s`, {
      details: { retry_after_seconds: retryAfter },
    });
  }
  if (status >= 500) return new ApiError("provider-unavailable", `GitHub answered ${status}${said}`);
  if (status === 404 && call.notFound !== undefined)
    return new ApiError(call.notFound, `GitHub does not know it${said}`);
  if (status === 401 || status === 403 || status === 404)
    return new ApiError("access-denied", `GitHub refused the app (${status})${said}`);
  return new ApiError("provider-rejected", `GitHub refused the request (${status})${said}`);
}

/** Seconds to wait when a reply is one of GitHub's rate limits: 429, or 403 with a header or words that say so. */
function slowDown({ status, headers }: Response, text: string): number | null {
  if (status !== 429 && status !== 403) return null;
  const retryAfter = Number(headers.get("retry-after") ?? Number.NaN);
  if (Number.isFinite(retryAfter)) return Math.max(1, Math.ceil(retryAfter));
  if (headers.get("x-ratelimit-remaining") === "0") {
    const seconds = Number(headers.get("x-ratelimit-reset")) - Date.now() / 1000;
    return Number.isFinite(seconds) ? Math.max(1, Math.ceil(seconds)) : DEFAULT_RATE_LIMIT_WAIT_SECONDS;
  }
  return status === 429 || /rate limit/i.test(text) ? DEFAULT_RATE_LIMIT_WAIT_SECONDS : null;
}

/** Milliseconds until the next try; null when another one is in vain or too far away. */
function retryWait(error: unknown, attempt: number): number | null {
  if (!(error instanceof ApiError)) return null;
  if (error.code === "rate-limited") {
    const waitMs = (error.details as { retry_after_seconds: number }).retry_after_seconds * 1000;
    return waitMs > MAX_WAIT_MS ? null : waitMs;
  }
  if (error.code !== "provider-unavailable") return null;
  return FIRST_BACKOFF_MS * 2 ** (attempt - 1) * (1 + Math.random());
}

function unreachable(error: unknown): ApiError {
  if (error instanceof Error && error.name === "AbortError") return new ApiError("shutting-down");
  if (error instanceof Error && error.name === "TimeoutError")
    return new ApiError("timeout", "GitHub took too long to answer; try again later", { cause: error });
  return new ApiError("provider-unavailable", "GitHub could not be reached; try again later", { cause: error });
}

function malformed(call: GitHubCall, what: string, cause?: unknown): ApiError {
  const path = call.path.split("?", 1)[0];
  return new ApiError("malformed-provider-response", `GitHub's answer to ${path} is not understood: ${what}`, {
    cause,
  });
}

/** GitHub's own sentence about a failure, without control characters. */
function quote(text: string): string {
  let message: unknown;
  try {
    message = (JSON.parse(text) as { message?: unknown } | null)?.message;
  } catch {
    return "";
  }
  if (typeof message !== "string" || message === "") return "";
  return `: ${message.replaceAll(/\p{Cc}/gu, " ").slice(0, MAX_QUOTED_CHARS)}`;
}
